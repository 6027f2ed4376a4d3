package org.apache.rocketmq.test.base;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.TopicAttributes;
import org.apache.rocketmq.common.attribute.CQType;
import org.apache.rocketmq.common.attribute.TopicMessageType;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.test.util.MQAdminTestUtils;

/**
 * Stands in for the class of this name in rocketmq-test: lies before that jar on the class path, has the members that the tests there call,
 * and starts the servers under test as processes of their own. `skylark.home` is the checkout, `its.home` a folder of this run.
 */
public class IntegrationTestBase {
    protected static int topicCreateTime = 30;
    public static volatile int commitLogSize = 100 * 1024 * 1024;
    protected static final AtomicInteger BROKER_INDEX = new AtomicInteger();
    private static final Map<String, Process> RUNNING = new LinkedHashMap<>();

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            for (Process process : RUNNING.values()) {
                process.destroy();
            }
        }));
    }

    static int freePort() {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** One of distribution/bin with a file of settings; what it prints goes to a file beside it. */
    static synchronized void startServer(String script, String name, Map<String, String> settings) {
        Path home = Paths.get(System.getProperty("its.home"));
        Path file = home.resolve(name + ".conf");
        StringBuilder lines = new StringBuilder();
        settings.forEach((key, value) -> lines.append(key).append('=').append(value).append('\n'));
        try {
            Files.createDirectories(home);
            Files.write(file, lines.toString().getBytes(StandardCharsets.UTF_8));
            File output = home.resolve(name + ".log").toFile();
            new FileOutputStream(output, true).close();
            ProcessBuilder builder =
                new ProcessBuilder(System.getProperty("skylark.home") + "/distribution/bin/" + script, "-c", file.toString());
            builder.redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(output));
            RUNNING.put(name, builder.start());
        } catch (IOException e) {
            throw new IllegalStateException("cannot start " + script, e);
        }
    }

    static synchronized void stopServer(String name) {
        Process process = RUNNING.remove(name);
        if (process == null) {
            return;
        }
        process.destroy();
        try {
            if (!process.waitFor(30, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** The address of a NameServer that has just been started. */
    static String startNamesrv() {
        String home = System.getProperty("its.home");
        int port = freePort();
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("listenPort", String.valueOf(port));
        settings.put("bindAddress", "127.0.0.1");
        settings.put("kvConfigPath", home + "/kvConfig.json");
        settings.put("configStorePath", home + "/namesrv.properties");
        startServer("mqnamesrv", "namesrv", settings);
        return "127.0.0.1:" + port;
    }

    /** Apache's tests give their brokers these settings, the rest are defaults. */
    public static BrokerController createAndStartBroker(String namesrvAddr) {
        String name = "TestBrokerName_" + BROKER_INDEX.incrementAndGet();
        int port = freePort();
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("brokerName", name);
        settings.put("brokerIP1", "127.0.0.1");
        settings.put("bindAddress", "127.0.0.1");
        settings.put("listenPort", String.valueOf(port));
        settings.put("namesrvAddr", namesrvAddr);
        settings.put("storePathRootDir", System.getProperty("its.home") + "/store-" + name);
        settings.put("mappedFileSizeCommitLog", String.valueOf(commitLogSize));
        settings.put("maxTransferCountOnMessageInMemory", "1024");
        settings.put("enablePropertyFilter", "true");
        settings.put("recallMessageEnable", "true");
        startServer("mqbroker", name, settings);
        return RemoteBroker.of(name, "127.0.0.1:" + port, settings);
    }

    /** A broker that was shut down, again on its files and its port. */
    public static BrokerController createAndStartBroker(MessageStoreConfig storeConfig, BrokerConfig brokerConfig) {
        RemoteBroker broker = RemoteBroker.byName(brokerConfig.getBrokerName());
        startServer("mqbroker", broker.name, broker.settings);
        broker.awaitAnswer();
        return broker;
    }

    public static boolean initTopic(String topic, String nsAddr, String clusterName, int queueNumbers, CQType cqType) {
        return initTopic(topic, nsAddr, clusterName, queueNumbers, cqType, TopicMessageType.NORMAL);
    }

    public static boolean initTopic(String topic, String nsAddr, String clusterName, int queueNumbers, CQType cqType,
        TopicMessageType messageType) {
        return initTopic(topic, nsAddr, clusterName, queueNumbers, cqType, messageType, -1L);
    }

    public static boolean initTopic(String topic, String nsAddr, String clusterName, int queueNumbers, CQType cqType,
        TopicMessageType messageType, Long liteExpiration) {
        Map<String, String> attributes = new HashMap<>();
        if (cqType != CQType.SimpleCQ) {
            attributes.put("+" + TopicAttributes.QUEUE_TYPE_ATTRIBUTE.getName(), cqType.toString());
        }
        if (messageType != TopicMessageType.NORMAL) {
            attributes.put("+" + TopicAttributes.TOPIC_MESSAGE_TYPE_ATTRIBUTE.getName(), messageType.toString());
        }
        if (messageType == TopicMessageType.LITE) {
            attributes.put("+" + TopicAttributes.LITE_EXPIRATION_ATTRIBUTE.getName(), liteExpiration.toString());
        }
        return MQAdminTestUtils.createTopic(nsAddr, clusterName, topic, queueNumbers, attributes, topicCreateTime);
    }

    public static boolean initTopic(String topic, String nsAddr, String clusterName, CQType cqType) {
        return initTopic(topic, nsAddr, clusterName, BaseConf.QUEUE_NUMBERS, cqType, TopicMessageType.NORMAL);
    }

    public static boolean initTopic(String topic, String nsAddr, String clusterName, TopicMessageType messageType) {
        return initTopic(topic, nsAddr, clusterName, BaseConf.QUEUE_NUMBERS, CQType.SimpleCQ, messageType);
    }
}
