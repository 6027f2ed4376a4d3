package org.apache.rocketmq.test.base;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentMap;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.broker.filter.ConsumerFilterManager;
import org.apache.rocketmq.broker.offset.ConsumerOffsetManager;
import org.apache.rocketmq.broker.pop.orderly.ConsumerOrderInfoManager;
import org.apache.rocketmq.broker.subscription.SubscriptionGroupManager;
import org.apache.rocketmq.broker.topic.TopicConfigManager;
import org.apache.rocketmq.broker.topic.TopicQueueMappingCleanService;
import org.apache.rocketmq.client.exception.OffsetNotFoundException;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyServerConfig;
import org.apache.rocketmq.remoting.protocol.admin.OffsetWrapper;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.MessageFilter;
import org.apache.rocketmq.store.MessageStore;
import org.apache.rocketmq.store.config.MessageStoreConfig;

/** A broker in another process behind Apache's class: what can be asked over the wire is asked there. */
final class RemoteBroker extends BrokerController {
    private static final Map<String, RemoteBroker> ALL = new HashMap<>();

    String name;
    String address;
    Map<String, String> settings;
    private BrokerConfig config;
    private MessageStoreConfig storeConfig;
    private Store store;
    private Topics topics;
    private Offsets offsets;
    private Groups groups;

    private RemoteBroker(BrokerConfig a, NettyServerConfig b, NettyClientConfig c, MessageStoreConfig d) {
        super(a, b, c, d);
    }

    static RemoteBroker of(String name, String address, Map<String, String> settings) {
        RemoteBroker it = Remote.bare(RemoteBroker.class);
        it.name = name;
        it.address = address;
        it.settings = settings;
        it.config = Remote.forwarding(BrokerConfig.class, change -> {
            if (!"brokerName".equals(change.stringPropertyNames().iterator().next())) {
                Remote.admin().updateBrokerConfig(address, change);
            }
        });
        it.config.setBrokerName(name);
        it.storeConfig = new MessageStoreConfig();
        it.store = Remote.bare(Store.class);
        it.store.broker = it;
        it.topics = Remote.bare(Topics.class);
        it.topics.broker = it;
        it.offsets = Remote.bare(Offsets.class);
        it.offsets.broker = it;
        it.groups = Remote.bare(Groups.class);
        it.groups.broker = it;
        ALL.put(name, it);
        return it;
    }

    static RemoteBroker byName(String name) {
        return ALL.get(name);
    }

    void awaitAnswer() {
        for (int i = 0; ; i++) {
            try {
                Remote.wire().getBrokerConfig(address, 1000);
                return;
            } catch (Exception e) {
                if (i == 300) {
                    throw new IllegalStateException(name + " does not answer at " + address, e);
                }
                Remote.ask(() -> {
                    Thread.sleep(100);
                    return null;
                });
            }
        }
    }

    @Override
    public String getBrokerAddr() {
        return address;
    }

    @Override
    public BrokerConfig getBrokerConfig() {
        return config;
    }

    @Override
    public MessageStoreConfig getMessageStoreConfig() {
        return storeConfig;
    }

    @Override
    public MessageStore getMessageStore() {
        return store;
    }

    @Override
    public TopicConfigManager getTopicConfigManager() {
        return topics;
    }

    @Override
    public ConsumerOffsetManager getConsumerOffsetManager() {
        return offsets;
    }

    @Override
    public SubscriptionGroupManager getSubscriptionGroupManager() {
        return groups;
    }

    @Override
    public ConsumerFilterManager getConsumerFilterManager() {
        throw Remote.notOverTheWire("the filter manager of the broker");
    }

    @Override
    public ConsumerOrderInfoManager getConsumerOrderInfoManager() {
        throw Remote.notOverTheWire("the order infos of the broker");
    }

    @Override
    public TopicQueueMappingCleanService getTopicQueueMappingCleanService() {
        throw Remote.notOverTheWire("the queue mapping clean service of the broker");
    }

    @Override
    public void registerServerRPCHook(RPCHook hook) {
        throw Remote.notOverTheWire("a hook inside of the broker");
    }

    /** Ours registers each change by itself. */
    @Override
    public synchronized void registerBrokerAll(boolean checkOrderConfig, boolean oneway, boolean forceRegister) {
    }

    @Override
    public void shutdown() {
        IntegrationTestBase.stopServer(name);
    }

    private static final class Store extends DefaultMessageStore {
        private RemoteBroker broker;

        private Store() throws Exception {
            super(null, null, null, null, null);
        }

        @Override
        public long getMaxOffsetInQueue(String topic, int queueId) {
            return Remote.ask(() -> Remote.wire().getMaxOffset(broker.address, queue(topic, queueId), Remote.TIMEOUT_MS));
        }

        @Override
        public long getMinOffsetInQueue(String topic, int queueId) {
            return Remote.ask(() -> Remote.wire().getMinOffset(broker.address, queue(topic, queueId), Remote.TIMEOUT_MS));
        }

        private MessageQueue queue(String topic, int queueId) {
            return new MessageQueue(topic, broker.name, queueId);
        }

        @Override
        public long dispatchBehindBytes() {
            return 0;
        }

        @Override
        public long estimateMessageCount(String topic, int queueId, long from, long to, MessageFilter filter) {
            throw Remote.notOverTheWire("an estimate of the store");
        }

        @Override
        public int cleanUnusedTopic(Set<String> retainTopics) {
            throw Remote.notOverTheWire("the store's clean-up");
        }
    }

    private static final class Topics extends TopicConfigManager {
        private RemoteBroker broker;

        @Override
        public ConcurrentMap<String, TopicConfig> getTopicConfigTable() {
            return Remote.ask(() -> Remote.wire().getAllTopicConfig(broker.address, Remote.TIMEOUT_MS).getTopicConfigTable());
        }

        @Override
        public void updateTopicConfig(TopicConfig topicConfig) {
            Remote.ask(() -> {
                Remote.admin().createAndUpdateTopicConfig(broker.address, topicConfig);
                return null;
            });
        }
    }

    private static final class Groups extends SubscriptionGroupManager {
        private RemoteBroker broker;

        @Override
        public SubscriptionGroupConfig findSubscriptionGroupConfig(String group) {
            SubscriptionGroupConfig found = Remote.ask(() -> Remote.admin().examineSubscriptionGroupConfig(broker.address, group));
            if (found != null) {
                return found;
            }
            SubscriptionGroupConfig fresh = new SubscriptionGroupConfig();
            fresh.setGroupName(group);
            return fresh;
        }

        @Override
        public void updateSubscriptionGroupConfig(SubscriptionGroupConfig config) {
            Remote.ask(() -> {
                Remote.admin().createAndUpdateSubscriptionGroupConfig(broker.address, config);
                return null;
            });
        }
    }

    private static final class Offsets extends ConsumerOffsetManager {
        private RemoteBroker broker;

        @Override
        public long queryOffset(String group, String topic, int queueId) {
            QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
            header.setConsumerGroup(group);
            header.setTopic(topic);
            header.setQueueId(queueId);
            header.setSetZeroIfNotFound(false);
            return Remote.ask(() -> {
                try {
                    return Remote.wire().queryConsumerOffset(broker.address, header, Remote.TIMEOUT_MS);
                } catch (OffsetNotFoundException e) {
                    return -1L;
                }
            });
        }

        @Override
        public long queryPullOffset(String group, String topic, int queueId) {
            return Remote.ask(() -> {
                OffsetWrapper found = Remote.wire().getConsumeStats(broker.address, group, topic, Remote.TIMEOUT_MS).getOffsetTable()
                    .get(new MessageQueue(topic, broker.name, queueId));
                return found == null ? -1L : found.getPullOffset();
            });
        }
    }
}
