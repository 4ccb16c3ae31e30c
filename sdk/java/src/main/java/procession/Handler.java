package procession;

/** Carries out an action. What it returns is the output; what it throws is a failure. */
@FunctionalInterface
public interface Handler<T> {
    Object handle(T payload) throws Exception;
}
