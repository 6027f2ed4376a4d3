package org.apache.rocketmq.test.base;

import org.apache.rocketmq.common.namesrv.NamesrvConfig;
import org.apache.rocketmq.namesrv.NamesrvController;

/** What tests change on Apache's NameServer object is changed on ours over the wire. Made without its constructor. */
final class RemoteNamesrv extends NamesrvController {
    private NamesrvConfig config;

    private RemoteNamesrv() {
        super(null, null);
    }

    static NamesrvController at(String address) {
        RemoteNamesrv it = Remote.bare(RemoteNamesrv.class);
        it.config = Remote.forwarding(NamesrvConfig.class, settings -> {
            Remote.admin().updateNameServerConfig(settings, java.util.Collections.singletonList(address));
        });
        return it;
    }

    @Override
    public NamesrvConfig getNamesrvConfig() {
        return config;
    }
}
