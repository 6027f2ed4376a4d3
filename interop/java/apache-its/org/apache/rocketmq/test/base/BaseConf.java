package org.apache.rocketmq.test.base;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ForkJoinPool;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.client.consumer.MQPullConsumer;
import org.apache.rocketmq.client.consumer.MQPushConsumer;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.attribute.CQType;
import org.apache.rocketmq.common.attribute.TopicMessageType;
import org.apache.rocketmq.namesrv.NamesrvController;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.test.client.rmq.RMQAsyncSendProducer;
import org.apache.rocketmq.test.client.rmq.RMQNormalConsumer;
import org.apache.rocketmq.test.client.rmq.RMQNormalProducer;
import org.apache.rocketmq.test.client.rmq.RMQTransactionalProducer;
import org.apache.rocketmq.test.clientinterface.MQConsumer;
import org.apache.rocketmq.test.clientinterface.MQProducer;
import org.apache.rocketmq.test.factory.ConsumerFactory;
import org.apache.rocketmq.test.listener.AbstractListener;
import org.apache.rocketmq.test.util.MQAdminTestUtils;
import org.apache.rocketmq.test.util.MQRandomUtils;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.admin.MQAdminExt;

/** Stands in for the class of this name in rocketmq-test: a NameServer and three brokers of ours instead of Apache's in this process. */
public class BaseConf {
    public static final String NAMESRV_ADDR;
    protected static final String CLUSTER_NAME = "DefaultCluster";
    protected static final String BROKER1_NAME;
    protected static final String BROKER2_NAME;
    protected static final String BROKER3_NAME;
    protected static final int BROKER_NUM = 3;
    protected static final int WAIT_TIME = 5;
    protected static final int CONSUME_TIME = 2 * 60 * 1000;
    protected static final int QUEUE_NUMBERS = 8;

    protected static NamesrvController namesrvController;
    protected static BrokerController brokerController1;
    protected static BrokerController brokerController2;
    protected static BrokerController brokerController3;
    protected static List<BrokerController> brokerControllerList;
    protected static Map<String, BrokerController> brokerControllerMap;
    protected static List<Object> mqClients = new ArrayList<>();
    protected static boolean debug = false;

    static {
        System.setProperty(RemotingCommand.REMOTING_VERSION_KEY, Integer.toString(MQVersion.CURRENT_VERSION));
        NAMESRV_ADDR = IntegrationTestBase.startNamesrv();
        brokerController1 = IntegrationTestBase.createAndStartBroker(NAMESRV_ADDR);
        brokerController2 = IntegrationTestBase.createAndStartBroker(NAMESRV_ADDR);
        brokerController3 = IntegrationTestBase.createAndStartBroker(NAMESRV_ADDR);
        BROKER1_NAME = ((RemoteBroker) brokerController1).name;
        BROKER2_NAME = ((RemoteBroker) brokerController2).name;
        BROKER3_NAME = ((RemoteBroker) brokerController3).name;
        brokerControllerList = Arrays.asList(brokerController1, brokerController2, brokerController3);
        brokerControllerMap = new LinkedHashMap<>();
        for (BrokerController broker : brokerControllerList) {
            brokerControllerMap.put(((RemoteBroker) broker).name, broker);
        }
        try {
            MQAdminTestUtils.startAdmin(NAMESRV_ADDR);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
        namesrvController = RemoteNamesrv.at(NAMESRV_ADDR);
        // Some tests create a topic before their object is made.
        waitBrokerRegistered(NAMESRV_ADDR, CLUSTER_NAME, BROKER_NUM);
    }

    public BaseConf() {
        waitBrokerRegistered(NAMESRV_ADDR, CLUSTER_NAME, BROKER_NUM);
    }

    public static void waitBrokerRegistered(String nsAddr, String clusterName, int expectedBrokerNum) {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(500);
        admin.setNamesrvAddr(nsAddr);
        int found = 0;
        try {
            admin.start();
            for (int i = 0; i < 300 && found != expectedBrokerNum; i++) {
                try {
                    found = admin.examineTopicRouteInfo(clusterName).getBrokerDatas().size();
                } catch (Exception e) {
                    found = 0;
                }
                Thread.sleep(found == expectedBrokerNum ? 0 : 100);
            }
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
        ForkJoinPool.commonPool().execute(admin::shutdown);
        if (found != expectedBrokerNum) {
            throw new IllegalStateException(found + " of " + expectedBrokerNum + " brokers registered");
        }
    }

    /** Nothing lags behind our log: an acknowledged message can be read. */
    public boolean awaitDispatchMs(long timeMs) {
        return true;
    }

    public static String initTopic() {
        return initTopicWithName(MQRandomUtils.getRandomTopic());
    }

    public static String initTopic(TopicMessageType messageType) {
        return initTopicWithName(MQRandomUtils.getRandomTopic(), messageType);
    }

    public static String initTopicOnSampleTopicBroker(String sampleTopic) {
        return initTopicOnSampleTopicBroker(MQRandomUtils.getRandomTopic(), sampleTopic);
    }

    public static String initTopicOnSampleTopicBroker(String sampleTopic, TopicMessageType messageType) {
        return initTopicOnSampleTopicBroker(MQRandomUtils.getRandomTopic(), sampleTopic, messageType);
    }

    public static String initTopicWithName(String topic) {
        IntegrationTestBase.initTopic(topic, NAMESRV_ADDR, CLUSTER_NAME, CQType.SimpleCQ);
        return topic;
    }

    public static String initTopicWithName(String topic, TopicMessageType messageType) {
        IntegrationTestBase.initTopic(topic, NAMESRV_ADDR, CLUSTER_NAME, messageType);
        return topic;
    }

    public static String initTopicOnSampleTopicBroker(String topic, String sampleTopic) {
        IntegrationTestBase.initTopic(topic, NAMESRV_ADDR, sampleTopic, CQType.SimpleCQ);
        return topic;
    }

    public static String initTopicOnSampleTopicBroker(String topic, String sampleTopic, TopicMessageType messageType) {
        IntegrationTestBase.initTopic(topic, NAMESRV_ADDR, sampleTopic, messageType);
        return topic;
    }

    public static String initConsumerGroup() {
        return initConsumerGroup(MQRandomUtils.getRandomConsumerGroup());
    }

    public static String initConsumerGroup(String group) {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        return initConsumerGroup(config);
    }

    public static String initConsumerGroup(SubscriptionGroupConfig config) {
        MQAdminTestUtils.createSub(NAMESRV_ADDR, CLUSTER_NAME, config);
        return config.getGroupName();
    }

    public static DefaultMQAdminExt getAdmin(String nsAddr) {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(3000);
        admin.setNamesrvAddr(nsAddr);
        admin.setPollNameServerInterval(100);
        return kept(admin);
    }

    public static RMQNormalProducer getProducer(String nsAddr, String topic) {
        return getProducer(nsAddr, topic, false);
    }

    public static RMQNormalProducer getProducer(String nsAddr, String topic, boolean useTLS) {
        return kept(new RMQNormalProducer(nsAddr, topic, useTLS));
    }

    public static RMQNormalProducer getProducer(String nsAddr, String topic, String producerGroup, String instanceName) {
        return kept(new RMQNormalProducer(nsAddr, topic, producerGroup, instanceName));
    }

    public static RMQTransactionalProducer getTransactionalProducer(String nsAddr, String topic, TransactionListener listener) {
        return kept(new RMQTransactionalProducer(nsAddr, topic, false, listener));
    }

    public static RMQAsyncSendProducer getAsyncProducer(String nsAddr, String topic) {
        return kept(new RMQAsyncSendProducer(nsAddr, topic));
    }

    public static RMQNormalConsumer getConsumer(String nsAddr, String topic, String subExpression, AbstractListener listener) {
        return getConsumer(nsAddr, topic, subExpression, listener, false);
    }

    public static RMQNormalConsumer getConsumer(String nsAddr, String topic, String subExpression, AbstractListener listener,
        boolean useTLS) {
        return getConsumer(nsAddr, initConsumerGroup(), topic, subExpression, listener, useTLS);
    }

    public static RMQNormalConsumer getConsumer(String nsAddr, String group, String topic, String subExpression,
        AbstractListener listener) {
        return getConsumer(nsAddr, group, topic, subExpression, listener, false);
    }

    public static RMQNormalConsumer getConsumer(String nsAddr, String group, String topic, String subExpression,
        AbstractListener listener, boolean useTLS) {
        return kept(ConsumerFactory.getRMQNormalConsumer(nsAddr, group, topic, subExpression, listener, useTLS));
    }

    private static <T> T kept(T client) {
        mqClients.add(client);
        return client;
    }

    public static Set<String> getBrokers() {
        return new HashSet<>(brokerControllerMap.keySet());
    }

    public static void shutdown() {
        List<Object> clients = new ArrayList<>(mqClients);
        mqClients.clear();
        shutdown(clients);
    }

    public static void shutdown(List<Object> clients) {
        for (Object client : clients) {
            ForkJoinPool.commonPool().execute(() -> end(client));
        }
    }

    private static void end(Object client) {
        if (client instanceof MQProducer) {
            ((MQProducer) client).shutdown();
        } else if (client instanceof MQConsumer) {
            ((MQConsumer) client).shutdown();
        } else if (client instanceof MQAdminExt) {
            ((MQAdminExt) client).shutdown();
        } else if (client instanceof org.apache.rocketmq.client.producer.MQProducer) {
            ((org.apache.rocketmq.client.producer.MQProducer) client).shutdown();
        } else if (client instanceof MQPullConsumer) {
            ((MQPullConsumer) client).shutdown();
        } else if (client instanceof MQPushConsumer) {
            ((MQPushConsumer) client).shutdown();
        }
    }
}
