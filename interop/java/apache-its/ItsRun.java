import java.util.Locale;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Result;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs test classes and prints a line per test. */
public final class ItsRun extends RunListener {
    private long startedMs;
    private String verdict;

    @Override
    public void testStarted(Description description) {
        startedMs = System.currentTimeMillis();
        verdict = "ok";
        System.out.println("BEGIN\t" + name(description));
    }

    @Override
    public void testFailure(Failure failure) {
        verdict = "FAILED";
        System.out.println("WHY\t" + name(failure.getDescription()) + "\t" + firstLines(failure.getTrimmedTrace()));
        if (failure.getDescription().getMethodName() == null) {
            System.out.println("TEST\tFAILED\t" + name(failure.getDescription()) + "\t0");
        }
    }

    @Override
    public void testAssumptionFailure(Failure failure) {
        verdict = "not run";
        System.out.println("WHY\t" + name(failure.getDescription()) + "\t" + firstLines(failure.getMessage()));
        if (failure.getDescription().getMethodName() == null) {
            System.out.println("TEST\tnot run\t" + name(failure.getDescription()) + "\t0");
        }
    }

    @Override
    public void testIgnored(Description description) {
        System.out.println("TEST\tignored\t" + name(description) + "\t0");
    }

    @Override
    public void testFinished(Description description) {
        System.out.println("TEST\t" + verdict + "\t" + name(description) + "\t" + (System.currentTimeMillis() - startedMs));
    }

    private static String name(Description description) {
        String type = description.getClassName();
        return type.substring(type.lastIndexOf('.') + 1) + (description.getMethodName() == null ? "" : "." + description.getMethodName());
    }

    private static String firstLines(String text) {
        String[] lines = String.valueOf(text).split("\n");
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < Math.min(lines.length, 12); i++) {
            out.append(i == 0 ? "" : " | ").append(lines[i].trim());
        }
        return out.toString();
    }

    /** Classes one after another, on the same cluster. */
    public static void main(String[] names) {
        JUnitCore core = new JUnitCore();
        core.addListener(new ItsRun());
        int failures = 0;
        for (String name : names) {
            try {
                Result result = core.run(Class.forName(name));
                failures += result.getFailureCount();
                System.out.println(String.format(Locale.ROOT, "DONE\t%s\t%d", name, result.getRunTime()));
            } catch (Throwable e) {
                failures++;
                e.printStackTrace();
            }
        }
        // Clients that tests left running would keep the process.
        Runtime.getRuntime().exit(failures == 0 ? 0 : 1);
    }
}
