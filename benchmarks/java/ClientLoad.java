import java.lang.management.ManagementFactory;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * Apache's client doing what src/client-load.ts does with ours. Arguments: namesrv, topic, then `send` outstanding size warmUpSeconds seconds,
 * or `consume` count. Prints one line of JSON.
 */
public class ClientLoad {
    static final AtomicLong DONE = new AtomicLong();
    static final AtomicLong FAILED = new AtomicLong();

    public static void main(String[] args) throws Exception {
        if (args[2].equals("send")) {
            send(args[0], args[1], Integer.parseInt(args[3]), Integer.parseInt(args[4]), Long.parseLong(args[5]), Long.parseLong(args[6]));
        } else {
            // The compiler learns in the first pass.
            consume(args[0], args[1], Long.parseLong(args[3]), false);
            consume(args[0], args[1], Long.parseLong(args[3]), true);
        }
        System.exit(0);
    }

    static void send(String namesrv, String topic, int outstanding, int size, long warmUp, long seconds) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("client-load");
        producer.setNamesrvAddr(namesrv);
        producer.start();
        Semaphore permits = new Semaphore(outstanding);
        byte[] body = new byte[size];
        java.util.Arrays.fill(body, (byte) 'x');
        SendCallback callback = new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                (result.getSendStatus() == SendStatus.SEND_OK ? DONE : FAILED).incrementAndGet();
                permits.release();
            }

            @Override
            public void onException(Throwable e) {
                FAILED.incrementAndGet();
                permits.release();
            }
        };
        Thread sender = new Thread(() -> {
            try {
                for (;;) {
                    permits.acquire();
                    producer.send(new Message(topic, "TagA", body), callback);
                }
            } catch (Exception e) {
                e.printStackTrace();
            }
        });
        sender.setDaemon(true);
        sender.start();
        Thread.sleep(warmUp * 1000);
        long before = DONE.get();
        long cpu = cpu();
        long began = System.nanoTime();
        Thread.sleep(seconds * 1000);
        print(DONE.get() - before, System.nanoTime() - began, cpu() - cpu);
    }

    static void consume(String namesrv, String topic, long count, boolean isMeasured) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("client-load-" + UUID.randomUUID());
        consumer.setNamesrvAddr(namesrv);
        consumer.setInstanceName(UUID.randomUUID().toString());
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        AtomicLong consumed = new AtomicLong();
        long[] first = new long[2];
        long[] last = new long[2];
        CountDownLatch ended = new CountDownLatch(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            long now = consumed.addAndGet(messages.size());
            if (now == messages.size()) {
                first[0] = System.nanoTime();
                first[1] = cpu();
            }
            if (now == count) {
                last[0] = System.nanoTime();
                last[1] = cpu();
                ended.countDown();
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        ended.await();
        if (isMeasured) print(count, last[0] - first[0], last[1] - first[1]);
        consumer.shutdown();
    }

    static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    static void print(long messages, long nanos, long cpuNanos) {
        System.out.printf("{\"messages\":%d,\"failed\":%d,\"perSecond\":%d,\"cpuSecondsPerMillion\":%.3f}%n", messages, FAILED.get(),
            messages * 1_000_000_000L / nanos, cpuNanos / 1e9 / messages * 1e6);
    }
}
