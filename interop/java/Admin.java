import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Apache's mqadmin, many commands in one JVM: a command line a line, its arguments separated by tabs; what it printed comes back with
 * a line "\u0001exit" after it. "@story BROKER" makes the clients and messages that the commands look at: it answers ids, one a line.
 */
public class Admin {
    static final PrintStream OUT = System.out;
    static String namesrv;
    /** Of one answer. */
    static final long PATIENCE_MS = 60_000;

    static class Exit extends Error {
        final int code;
        Exit(int code) { super(null, null, false, false); this.code = code; }
    }

    @SuppressWarnings("removal")
    public static void main(String[] args) throws Exception {
        namesrv = args[0];
        System.setSecurityManager(new SecurityManager() {
            @Override public void checkPermission(java.security.Permission p) { }
            @Override public void checkPermission(java.security.Permission p, Object c) { }
            @Override public void checkExit(int code) {
                // A tool that ends is not the end of this process.
                if (Thread.currentThread().getName().equals("main")) throw new Exit(code);
            }
        });
        hurry(Thread.currentThread());
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            PrintStream captured = new PrintStream(bytes, true, "UTF-8");
            System.setOut(captured);
            System.setErr(captured);
            int code = 0;
            try {
                String[] words = line.split("\t", -1);
                if (words[0].equals("@story")) story(words[1], captured);
                else if (words[0].equals("@dashboard")) dashboard(words[1], captured);
                else MQAdminStartup.main0(words, null);
            } catch (Exit exit) {
                code = exit.code;
            } catch (Throwable t) {
                t.printStackTrace(captured);
                code = -99;
            }
            OUT.write(bytes.toByteArray());
            OUT.print("\n\u0001" + code + "\n");
            OUT.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    /** Every command ends with a client's shutdown, which waits up to 3 s for a thread that polls an empty queue: that thread is woken. */
    static void hurry(Thread main) {
        Thread helper = new Thread(() -> {
            Thread[] threads = new Thread[4096];
            while (true) {
                try {
                    Thread.sleep(10);
                } catch (InterruptedException e) {
                    return;
                }
                if (main.getState() != Thread.State.TIMED_WAITING) continue;
                if (Arrays.stream(main.getStackTrace()).noneMatch(f -> f.getMethodName().equals("shutdown") && f.getClassName().endsWith("NettyRemotingClient"))) continue;
                int count = Thread.enumerate(threads);
                for (int i = 0; i < count; i++) if (threads[i].getName().startsWith("NettyEventExecutor")) threads[i].interrupt();
            }
        });
        helper.setDaemon(true);
        helper.start();
    }

    static Message message(String topic, String tag, String keys, String body) {
        return new Message(topic, tag, keys, body.getBytes(StandardCharsets.UTF_8));
    }

    /** Groups, messages and clients; everything waits until it is seen at the broker. */
    static void story(String broker, PrintStream out) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(PATIENCE_MS);
        admin.setNamesrvAddr(namesrv);
        admin.setInstanceName("story");
        admin.start();
        for (String group : Arrays.asList("MA_Lag", "MA_Online")) {
            SubscriptionGroupConfig config = new SubscriptionGroupConfig();
            config.setGroupName(group);
            admin.createAndUpdateSubscriptionGroupConfig(broker, config);
            admin.createAndUpdateTopicConfig(broker, new TopicConfig("%RETRY%" + group, 1, 1, 6));
        }
        admin.createAndUpdateTopicConfig(broker, new TopicConfig("%DLQ%MA_Fail", 1, 1, 6));
        for (String topic : Arrays.asList("MA_Normal", "MA_One", "MA_Trace", "%DLQ%MA_Fail", "%RETRY%MA_Online", "%RETRY%MA_Lag")) awaitRoute(admin, topic);

        DefaultMQProducer producer = new DefaultMQProducer("MA_Producer");
        producer.setNamesrvAddr(namesrv);
        producer.setInstanceName("producer");
        producer.start();
        List<SendResult> sent = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            sent.add(producer.send(message("MA_Normal", i % 2 == 0 ? "TagA" : "TagB", "key-" + i + " all-keys", "message " + i), new MessageQueue("MA_Normal", "broker-a", i % 4), 10000));
        }
        for (int i = 0; i < 2; i++) sent.add(producer.send(message("MA_One", "TagA", "one-" + i, "one " + i), new MessageQueue("MA_One", "broker-a", i), 10000));
        producer.send(message("%DLQ%MA_Fail", "TagA", "dead", "dead"), new MessageQueue("%DLQ%MA_Fail", "broker-a", 0), 10000);

        DefaultMQProducer traced = new DefaultMQProducer("MA_Traced", null, true, null);
        traced.setNamesrvAddr(namesrv);
        traced.setInstanceName("traced");
        traced.start();
        sent.add(traced.send(message("MA_Trace", "TagA", "traced", "traced"), new MessageQueue("MA_Trace", "broker-a", 0), 10000));
        // Its trace is sent by another producer, which ends with it.
        await(() -> admin.queryMessage("RMQ_SYS_TRACE_TOPIC", sent.get(14).getMsgId(), 64, 0, Long.MAX_VALUE).getMessageList().get(0));
        traced.shutdown();

        CountDownLatch consumed = new CountDownLatch(12);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("MA_Online");
        consumer.setNamesrvAddr(namesrv);
        consumer.setInstanceName("online");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe("MA_Normal", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(m -> consumed.countDown());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        if (!consumed.await(60, TimeUnit.SECONDS)) throw new IllegalStateException("MA_Online did not get its messages");
        for (int i = 0; i < 300; i++) {
            consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
            if (admin.examineConsumeStats("MA_Online").computeTotalDiff() == 0) break;
            Thread.sleep(100);
        }
        // It says hello a second after its start, or half a minute later.
        await(() -> admin.examineProducerConnectionInfo("MA_Producer", "MA_Normal"));
        for (int queue = 0; queue < 4; queue++) admin.updateConsumeOffset(broker, "MA_Lag", new MessageQueue("MA_Normal", "broker-a", queue), 1);
        for (SendResult result : sent) out.println("MSG " + result.getMsgId() + " " + result.getOffsetMsgId());
        out.println("CLIENT " + consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId());
        admin.shutdown();
    }

    interface Call { Object run() throws Exception; }

    /** Until it succeeds. */
    static void await(Call call) throws Exception {
        for (int i = 0; ; i++) {
            try {
                call.run();
                return;
            } catch (Exception notYet) {
                if (i == 900) throw notYet;
                Thread.sleep(100);
            }
        }
    }

    /** What the pages of RocketMQ Dashboard ask, through the client that it is built on; one line a call: what a page would show. */
    static void dashboard(String broker, PrintStream out) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(PATIENCE_MS);
        admin.setNamesrvAddr(namesrv);
        admin.setInstanceName("dashboard");
        admin.start();
        show(out, "cluster", () -> admin.examineBrokerClusterInfo().getClusterAddrTable());
        show(out, "broker status keys a page reads", () -> {
            java.util.Map<String, String> table = admin.fetchBrokerRuntimeStats(broker).getTable();
            for (String key : Arrays.asList("getTotalTps", "putTps", "getTransferredTps", "msgPutTotalTodayNow", "msgPutTotalTodayMorning", "msgPutTotalYesterdayMorning", "msgGetTotalTodayNow", "msgGetTotalTodayMorning", "msgGetTotalYesterdayMorning", "brokerVersionDesc")) if (table.get(key) == null) return "no " + key;
            for (String part : table.get("getTotalTps").trim().split(" +")) Double.parseDouble(part);
            return "all there";
        });
        show(out, "broker config", () -> admin.getBrokerConfig(broker).getProperty("brokerName"));
        show(out, "topic list", () -> admin.fetchAllTopicList().getTopicList().contains("MA_Normal"));
        show(out, "message types", () -> admin.getAllTopicConfig(broker, PATIENCE_MS).getTopicConfigTable().get("MA_Order").getAttributes());
        show(out, "topic status", () -> new java.util.TreeMap<>(admin.examineTopicStats("MA_Normal").getOffsetTable()).keySet());
        show(out, "topic route", () -> admin.examineTopicRouteInfo("MA_Normal").getQueueDatas());
        show(out, "topic config", () -> admin.examineTopicConfig(broker, "MA_Normal"));
        show(out, "topic consumers", () -> new java.util.TreeSet<>(admin.queryTopicConsumeByWho("MA_Normal").getGroupList()));
        show(out, "group list", () -> admin.getAllSubscriptionGroup(broker, PATIENCE_MS).getSubscriptionGroupTable().containsKey("MA_Online"));
        show(out, "group config", () -> admin.examineSubscriptionGroupConfig(broker, "MA_Online"));
        show(out, "group progress", () -> admin.examineConsumeStats("MA_Lag").computeTotalDiff());
        show(out, "group clients", () -> admin.examineConsumerConnectionInfo("MA_Online").getConnectionSet().size());
        show(out, "group offline", () -> admin.examineConsumerConnectionInfo("MA_Lag"));
        show(out, "client running info", () -> admin.getConsumerRunningInfo("MA_Online", admin.examineConsumerConnectionInfo("MA_Online").getConnectionSet().iterator().next().getClientId(), false).getSubscriptionSet());
        show(out, "producer clients", () -> admin.examineProducerConnectionInfo("MA_Producer", "MA_Normal").getConnectionSet().size());
        show(out, "traffic of a topic", () -> admin.viewBrokerStatsData(broker, "TOPIC_PUT_NUMS", "MA_Normal").getStatsDay() != null);
        show(out, "traffic of a group", () -> admin.viewBrokerStatsData(broker, "GROUP_GET_NUMS", "MA_Normal@MA_Online").getStatsDay() != null);
        show(out, "traffic of nobody", () -> admin.viewBrokerStatsData(broker, "TOPIC_PUT_NUMS", "MA_List1"));
        show(out, "messages by key", () -> admin.queryMessage("MA_Normal", "key-3", 64, 0, Long.MAX_VALUE).getMessageList().size());
        show(out, "reset", () -> admin.resetOffsetByTimestamp("MA_Normal", "MA_Lag", 0, true));
        show(out, "consume span", () -> admin.queryConsumeTimeSpan("MA_Normal", "MA_Lag").size());
        show(out, "topic made", () -> { admin.createAndUpdateTopicConfig(broker, new TopicConfig("MA_Page", 1, 1, 6)); return "done"; });
        show(out, "topic deleted", () -> {
            admin.deleteTopicInBroker(new java.util.HashSet<>(Arrays.asList(broker)), "MA_Page");
            admin.deleteTopicInNameServer(new java.util.HashSet<>(Arrays.asList(namesrv)), "DefaultCluster", "MA_Page");
            return "done";
        });
        show(out, "group deleted", () -> { admin.deleteSubscriptionGroup(broker, "MA_GroupList1", true); return "done"; });
        admin.shutdown();
    }

    static void show(PrintStream out, String page, Call call) {
        try {
            out.println(page + ": " + call.run());
        } catch (Exception e) {
            out.println(page + ": " + e.getMessage().split("\n")[0].trim());
        }
    }

    static void awaitRoute(DefaultMQAdminExt admin, String topic) throws Exception {
        for (int i = 0; ; i++) {
            try {
                admin.examineTopicRouteInfo(topic);
                return;
            } catch (Exception e) {
                if (i == 300) throw e;
                Thread.sleep(100);
            }
        }
    }
}
