import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.GetMessageResult;
import org.apache.rocketmq.store.PutMessageResult;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

/**
 * Apache's own message store on a folder: `write DIR SEGMENT COUNT PREFIX [halt]` appends COUNT messages, `read DIR SEGMENT` prints
 * what it serves: topic, queue, offset, position, tags, keys and body of each message.
 */
public class StoreProbe {
    public static void main(String[] args) throws Exception {
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(args[1]);
        config.setStorePathCommitLog(args[1] + "/commitlog");
        config.setMappedFileSizeCommitLog(Integer.parseInt(args[2]));
        config.setMaxHashSlotNum(1000);
        config.setMaxIndexNum(4000);
        config.setHaListenPort(0);
        config.setDiskMaxUsedSpaceRatio(95);
        BrokerConfig broker = new BrokerConfig();
        DefaultMessageStore store = new DefaultMessageStore(config, new BrokerStatsManager("probe", true),
            (topic, queueId, offset, tagsCode, time, filter, properties) -> { }, broker, new ConcurrentHashMap<>());
        if (!store.load()) throw new IllegalStateException("Apache's store could not load " + args[1]);
        store.start();
        while (store.dispatchBehindBytes() > 0) Thread.sleep(10);
        if (args[0].equals("write")) write(store, Integer.parseInt(args[3]), args[4]);
        else read(store);
        if (args.length > 5) Runtime.getRuntime().halt(9);
        store.shutdown();
        System.exit(0);
    }

    private static void write(DefaultMessageStore store, int count, String prefix) {
        for (int i = 0; i < count; i++) {
            MessageExtBrokerInner message = new MessageExtBrokerInner();
            message.setTopic(i % 3 == 0 ? "payments" : "orders");
            message.setQueueId(i % 2);
            message.setBody((prefix + i).repeat(1 + i % 40).getBytes(StandardCharsets.UTF_8));
            message.setTags("tag" + i % 4);
            message.setKeys(prefix + "key" + i);
            MessageAccessor.putProperty(message, "UNIQ_KEY", prefix + "id" + i);
            message.setPropertiesString(MessageDecoder.messageProperties2String(message.getProperties()));
            message.setBornTimestamp(System.currentTimeMillis());
            message.setBornHost(new InetSocketAddress("127.0.0.1", 1234));
            message.setStoreHost(new InetSocketAddress("127.0.0.1", 10911));
            PutMessageResult result = store.putMessage(message);
            if (!result.isOk()) throw new IllegalStateException("put: " + result.getPutMessageStatus());
        }
    }

    private static void read(DefaultMessageStore store) throws Exception {
        for (var topic : new TreeMap<>(store.getQueueStore().getConsumeQueueTable()).entrySet()) {
            for (int queueId : new TreeMap<>(topic.getValue()).keySet()) {
                long max = store.getMaxOffsetInQueue(topic.getKey(), queueId);
                for (long offset = store.getMinOffsetInQueue(topic.getKey(), queueId); offset < max;) {
                    GetMessageResult result = store.getMessage("probe", topic.getKey(), queueId, offset, 32, null);
                    for (ByteBuffer buffer : result.getMessageBufferList()) {
                        MessageExt m = MessageDecoder.decode(buffer, true, false, false, false, true);
                        System.out.println(String.join(" ", m.getTopic(), "" + m.getQueueId(), "" + m.getQueueOffset(),
                            "" + m.getCommitLogOffset(), m.getTags(), m.getKeys(), new String(m.getBody(), StandardCharsets.UTF_8)));
                    }
                    if (result.getNextBeginOffset() <= offset) throw new IllegalStateException("stuck: " + result.getStatus());
                    offset = result.getNextBeginOffset();
                    result.release();
                }
            }
        }
    }
}
