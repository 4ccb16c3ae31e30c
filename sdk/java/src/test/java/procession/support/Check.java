package procession.support;

import java.util.Objects;
import java.util.concurrent.Callable;

/** What tests expect. */
public final class Check {
    private static final double PATIENCE = 60; // seconds; a machine may be busy

    private Check() {}

    public static void that(boolean holds, Object shown) {
        if (!holds) {
            throw new AssertionError(String.valueOf(shown));
        }
    }

    public static void equal(Object found, Object wanted) {
        that(Objects.equals(found, wanted), "found " + found + ", wanted " + wanted);
    }

    public static void contains(String text, String part) {
        that(text != null && text.contains(part), "'" + part + "' is not in '" + text + "'");
    }

    /** Throws an error of this kind, which is given back. */
    public static <E extends Throwable> E raises(Class<E> kind, Callable<?> call) {
        return raises(kind, "", call);
    }

    /** What is shown tells which of several it was. */
    public static <E extends Throwable> E raises(Class<E> kind, Object shown, Callable<?> call) {
        try {
            call.call();
        } catch (Throwable error) {
            that(kind.isInstance(error), error);
            return kind.cast(error);
        }
        throw new AssertionError("no " + kind.getSimpleName() + " was thrown: " + shown);
    }

    /** Waits until this holds. */
    public static void until(Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + (long) (PATIENCE * 1e9);
        while (!condition.call()) {
            that(System.nanoTime() < end, "it was waited for in vain");
            Thread.sleep(5);
        }
    }
}
