package org.apache.rocketmq.test.base;

import java.lang.reflect.Field;
import java.util.Properties;
import javassist.util.proxy.MethodHandler;
import javassist.util.proxy.Proxy;
import javassist.util.proxy.ProxyFactory;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.junit.AssumptionViolatedException;

/** The tools that let a server in another process pass for an object of Apache's in this one. */
final class Remote {
    static final long TIMEOUT_MS = 5000;

    interface Change {
        void tell(Properties settings) throws Exception;
    }

    interface Call<T> {
        T make() throws Exception;
    }

    private Remote() {
    }

    private static final class Admin {
        static final DefaultMQAdminExt INSTANCE = started();

        private static DefaultMQAdminExt started() {
            DefaultMQAdminExt admin = new DefaultMQAdminExt(TIMEOUT_MS);
            admin.setNamesrvAddr(BaseConf.NAMESRV_ADDR);
            admin.setInstanceName("its");
            return ask(() -> {
                admin.start();
                return admin;
            });
        }
    }

    static DefaultMQAdminExt admin() {
        return Admin.INSTANCE;
    }

    static MQClientAPIImpl wire() {
        return admin().getDefaultMQAdminExtImpl().getMqClientInstance().getMQClientAPIImpl();
    }

    static <T> T ask(Call<T> call) {
        try {
            return call.make();
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /** What a test asks of Apache's objects that no request can answer: JUnit reports it as not run. */
    static AssumptionViolatedException notOverTheWire(String what) {
        return new AssumptionViolatedException("not over the wire: " + what);
    }

    /** An object whose constructor was not run. */
    @SuppressWarnings("unchecked")
    static <T> T bare(Class<T> type) {
        return ask(() -> {
            Field field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
            field.setAccessible(true);
            return (T) ((sun.misc.Unsafe) field.get(null)).allocateInstance(type);
        });
    }

    /** A configuration whose setters also tell the server. */
    @SuppressWarnings("unchecked")
    static <T> T forwarding(Class<T> type, Change change) {
        ProxyFactory factory = new ProxyFactory();
        factory.setSuperclass(type);
        factory.setFilter(method -> method.getName().startsWith("set") && method.getParameterCount() == 1);
        boolean[] ready = new boolean[1];
        MethodHandler handler = (self, method, original, args) -> {
            Object result = original.invoke(self, args);
            if (ready[0] && args[0] != null) {
                String key = Character.toLowerCase(method.getName().charAt(3)) + method.getName().substring(4);
                Properties settings = new Properties();
                settings.setProperty(key, String.valueOf(args[0]));
                try {
                    change.tell(settings);
                } catch (Exception e) {
                    System.out.println("SETTING " + key + "=" + args[0] + " " + e);
                }
            }
            return result;
        };
        return ask(() -> {
            T made = (T) factory.createClass().getDeclaredConstructor().newInstance();
            ((Proxy) made).setHandler(handler);
            ready[0] = true;
            return made;
        });
    }
}
