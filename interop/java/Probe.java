import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * An unmodified Apache client behind a line protocol: each line on standard input is `id TAB op TAB key=value ...`; each line on
 * standard output is a JSON object, either the answer {"id":...} or an event {"event":"message",...}. The same protocol is spoken
 * by the Go and the JavaScript probe.
 */
public class Probe {
    static final PrintStream OUT = new PrintStream(System.out, true);
    static final Map<String, DefaultMQProducer> PRODUCERS = new HashMap<>();
    static final Map<String, DefaultMQPushConsumer> CONSUMERS = new ConcurrentHashMap<>();
    static final Map<String, DefaultLitePullConsumer> LITE = new ConcurrentHashMap<>();
    static String namesrv;

    public static void main(String[] args) throws Exception {
        namesrv = args[0];
        System.setOut(System.err);
        ExecutorService workers = Executors.newCachedThreadPool();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        print("{\"event\":\"ready\"}");
        for (String line; (line = in.readLine()) != null; ) {
            String[] parts = line.split("\t");
            Map<String, String> a = new HashMap<>();
            for (int i = 2; i < parts.length; i++) {
                int eq = parts[i].indexOf('=');
                a.put(parts[i].substring(0, eq), parts[i].substring(eq + 1));
            }
            workers.execute(() -> {
                try {
                    print("{\"id\":" + parts[0] + ",\"ok\":true" + run(parts[1], a) + "}");
                } catch (Throwable e) {
                    print("{\"id\":" + parts[0] + ",\"ok\":false,\"error\":" + text(String.valueOf(e)) + "}");
                }
            });
        }
        System.exit(0);
    }

    static String run(String op, Map<String, String> a) throws Exception {
        switch (op) {
            case "send": return send(a);
            case "subscribe": return subscribe(a);
            case "unsubscribe":
                if (LITE.containsKey(a.get("consumer"))) LITE.remove(a.get("consumer")).shutdown();
                else CONSUMERS.remove(a.get("consumer")).shutdown();
                return "";
            default: throw new IllegalArgumentException("unknown op " + op);
        }
    }

    static synchronized DefaultMQProducer producer(Map<String, String> a) throws Exception {
        String group = a.getOrDefault("group", "probe-producer");
        boolean isTransactional = "transaction".equals(a.get("mode"));
        String own = group + a.get("trace") + a.get("namespace") + isTransactional;
        DefaultMQProducer p = PRODUCERS.get(own);
        if (p == null) {
            p = isTransactional ? transactional(group) : new DefaultMQProducer(group, a.containsKey("trace"), (String) null);
            if (a.containsKey("namespace")) p.setNamespace(a.get("namespace"));
            p.setNamesrvAddr(namesrv);
            p.setInstanceName(group + "-" + System.nanoTime());
            p.start();
            PRODUCERS.put(own, p);
        }
        return p;
    }

    /** Of four messages in a row the first commits, the second rolls back, and of the other two the broker has to ask. */
    static DefaultMQProducer transactional(String group) {
        TransactionMQProducer p = new TransactionMQProducer(group);
        p.setTransactionListener(new TransactionListener() {
            @Override public LocalTransactionState executeLocalTransaction(Message m, Object number) {
                int n = (Integer) number % 4;
                return n == 0 ? LocalTransactionState.COMMIT_MESSAGE : n == 1 ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.UNKNOW;
            }
            @Override public LocalTransactionState checkLocalTransaction(MessageExt m) {
                String body = new String(m.getBody(), StandardCharsets.UTF_8);
                int n = Integer.parseInt(body.substring(body.lastIndexOf('-') + 1)) % 4;
                return n == 2 ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
            }
        });
        return p;
    }

    static String send(Map<String, String> a) throws Exception {
        DefaultMQProducer p = producer(a);
        int count = Integer.parseInt(a.getOrDefault("count", "1"));
        String mode = a.getOrDefault("mode", "sync");
        List<Message> messages = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            StringBuilder body = new StringBuilder(a.getOrDefault("prefix", "m") + "-" + i);
            int pad = Integer.parseInt(a.getOrDefault("size", "0"));
            while (body.length() < pad) body.append('.');
            Message m = new Message(a.get("topic"), a.getOrDefault("tag", ""), a.getOrDefault("key", ""), body.toString().getBytes(StandardCharsets.UTF_8));
            if (a.containsKey("properties")) for (String pair : a.get("properties").split(",")) m.putUserProperty(pair.split(":")[0], pair.split(":")[1]);
            if (a.containsKey("delayLevel")) m.setDelayTimeLevel(Integer.parseInt(a.get("delayLevel")));
            // Not in 4.9: looked up by name.
            if (a.containsKey("delayMs")) Message.class.getMethod("setDelayTimeMs", long.class).invoke(m, Long.parseLong(a.get("delayMs")));
            if (a.containsKey("deliverInMs"))
                Message.class.getMethod("setDeliverTimeMs", long.class).invoke(m, System.currentTimeMillis() + Long.parseLong(a.get("deliverInMs")));
            messages.add(m);
        }
        List<String> ids = Collections.synchronizedList(new ArrayList<>());
        if (mode.equals("batch")) {
            ids.add(p.send(messages, 10000).getMsgId());
        } else if (mode.equals("oneway")) {
            for (Message m : messages) p.sendOneway(m);
        } else if (mode.equals("async")) {
            CountDownLatch done = new CountDownLatch(count);
            AtomicReference<Throwable> failure = new AtomicReference<>();
            for (Message m : messages) {
                p.send(m, new SendCallback() {
                    @Override public void onSuccess(SendResult r) { ids.add(r.getMsgId()); done.countDown(); }
                    @Override public void onException(Throwable e) { failure.set(e); done.countDown(); }
                }, 10000);
            }
            if (!done.await(20, TimeUnit.SECONDS)) throw new IllegalStateException("async sends did not return");
            if (failure.get() != null) throw new IllegalStateException(failure.get());
        } else if (mode.equals("transaction")) {
            for (int i = 0; i < count; i++) ids.add(p.sendMessageInTransaction(messages.get(i), i).getMsgId());
        } else if (mode.equals("request")) {
            for (Message m : messages) {
                String reply = new String(p.request(m, 30000).getBody(), StandardCharsets.UTF_8);
                String wanted = "reply to " + new String(m.getBody(), StandardCharsets.UTF_8);
                if (!reply.equals(wanted)) throw new IllegalStateException(reply + " instead of " + wanted);
            }
        } else if (mode.equals("ordered")) {
            int keys = Integer.parseInt(a.getOrDefault("keys", "3"));
            for (int i = 0; i < count; i++) {
                ids.add(p.send(messages.get(i), (queues, m, key) -> queues.get((Integer) key % queues.size()), i % keys, 10000).getMsgId());
            }
        } else {
            for (Message m : messages) {
                SendResult r = p.send(m, 10000);
                if (!r.getSendStatus().name().equals("SEND_OK")) throw new IllegalStateException("status " + r.getSendStatus());
                ids.add(r.getMsgId());
                if (a.containsKey("recall")) recall(p, m.getTopic(), r);
            }
        }
        return ",\"count\":" + count + ",\"ids\":" + ids.size();
    }

    /** Since 5.3.2. */
    static void recall(DefaultMQProducer p, String topic, SendResult sent) throws Exception {
        Object handle = SendResult.class.getMethod("getRecallHandle").invoke(sent);
        Object id = DefaultMQProducer.class.getMethod("recallMessage", String.class, String.class).invoke(p, topic, handle);
        if (!sent.getMsgId().equals(id)) throw new IllegalStateException("recalled " + id + ", not " + sent.getMsgId());
    }

    static String subscribe(Map<String, String> a) throws Exception {
        String name = a.get("consumer");
        String mode = a.getOrDefault("mode", "concurrent");
        int fail = Integer.parseInt(a.getOrDefault("fail", "0"));
        if (mode.equals("lite") || mode.equals("assign")) return pull(name, mode, a);
        DefaultMQPushConsumer c = new DefaultMQPushConsumer(a.get("group"), a.containsKey("trace"), (String) null);
        if (a.containsKey("namespace")) c.setNamespace(a.get("namespace"));
        c.setNamesrvAddr(namesrv);
        c.setInstanceName(name + "-" + System.nanoTime());
        boolean last = a.getOrDefault("from", "first").equals("last");
        c.setConsumeFromWhere(last ? ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET : ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        if (a.containsKey("maxReconsume")) c.setMaxReconsumeTimes(Integer.parseInt(a.get("maxReconsume")));
        if (mode.equals("broadcast")) broadcast(c);
        // Queues come from the broker, which says whether to pull or to pop them. Not in 4.9: looked up by name.
        if (a.containsKey("pop")) DefaultMQPushConsumer.class.getMethod("setClientRebalance", boolean.class).invoke(c, false);
        if (a.containsKey("sql")) c.subscribe(a.get("topic"), MessageSelector.bySql(a.get("sql")));
        else c.subscribe(a.get("topic"), a.getOrDefault("expr", "*"));
        Map<String, AtomicInteger> seen = new ConcurrentHashMap<>();
        if (mode.equals("orderly")) {
            c.setSuspendCurrentQueueTimeMillis(200);
            c.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                for (MessageExt m : messages) if (!handle(name, m, seen, fail)) return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                if (a.containsKey("retryLevel")) context.setDelayLevelWhenNextConsume(Integer.parseInt(a.get("retryLevel")));
                for (MessageExt m : messages) {
                    if (!handle(name, m, seen, fail)) return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                    if (a.containsKey("reply")) reply(m);
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        c.start();
        CONSUMERS.put(name, c);
        return "";
    }

    static void reply(MessageExt request) {
        try {
            byte[] body = ("reply to " + new String(request.getBody(), StandardCharsets.UTF_8)).getBytes(StandardCharsets.UTF_8);
            producer(new HashMap<>()).send(MessageUtil.createReplyMessage(request, body), 10000);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    static String pull(String name, String mode, Map<String, String> a) throws Exception {
        DefaultLitePullConsumer c = new DefaultLitePullConsumer(a.get("group"));
        c.setNamesrvAddr(namesrv);
        c.setInstanceName(name + "-" + System.nanoTime());
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        if (mode.equals("lite")) c.subscribe(a.get("topic"), a.getOrDefault("expr", "*"));
        c.start();
        if (mode.equals("assign")) c.assign(c.fetchMessageQueues(a.get("topic")));
        LITE.put(name, c);
        int rewindAfter = Integer.parseInt(a.getOrDefault("rewindAfter", "-1"));
        Map<String, AtomicInteger> seen = new ConcurrentHashMap<>();
        Thread poller = new Thread(() -> {
            int count = 0;
            try {
                while (LITE.get(name) == c) {
                    for (MessageExt m : c.poll(1000)) {
                        handle(name, m, seen, 0);
                        if (++count == rewindAfter) for (MessageQueue q : c.fetchMessageQueues(a.get("topic"))) c.seekToBegin(q);
                    }
                    c.commitSync();
                }
            } catch (Throwable e) {
                if (LITE.get(name) == c) e.printStackTrace();
            }
        });
        poller.setDaemon(true);
        poller.start();
        return "";
    }

    /** MessageModel moved to another package between 4.9 and 5.x: found by the setter's own parameter. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    static void broadcast(DefaultMQPushConsumer c) throws Exception {
        for (java.lang.reflect.Method setter : DefaultMQPushConsumer.class.getMethods()) {
            if (!setter.getName().equals("setMessageModel")) continue;
            setter.invoke(c, Enum.valueOf((Class) setter.getParameterTypes()[0], "BROADCASTING"));
        }
    }

    /** Prints the message; false for the first `fail` deliveries of each body (-1: always). */
    static boolean handle(String consumer, MessageExt m, Map<String, AtomicInteger> seen, int fail) {
        String body = new String(m.getBody(), StandardCharsets.UTF_8);
        int times = seen.computeIfAbsent(body, k -> new AtomicInteger()).incrementAndGet();
        boolean ok = fail >= 0 && times > fail;
        print("{\"event\":\"message\",\"consumer\":" + text(consumer) + ",\"body\":" + text(body) + ",\"topic\":" + text(m.getTopic())
            + ",\"tag\":" + text(m.getTags()) + ",\"keys\":" + text(m.getKeys()) + ",\"queueId\":" + m.getQueueId() + ",\"queueOffset\":" + m.getQueueOffset()
            + ",\"reconsumeTimes\":" + m.getReconsumeTimes() + ",\"ok\":" + ok + "}");
        return ok;
    }

    static synchronized void print(String line) { OUT.println(line); }

    static String text(String s) {
        if (s == null) return "null";
        StringBuilder b = new StringBuilder("\"");
        for (char ch : s.toCharArray()) {
            if (ch == '"' || ch == '\\') b.append('\\').append(ch);
            else if (ch < 32) b.append(String.format("\\u%04x", (int) ch));
            else b.append(ch);
        }
        return b.append('"').toString();
    }
}
