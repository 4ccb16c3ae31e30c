package procession;

/** Carries out an action, and knows which attempt it is. */
@FunctionalInterface
public interface ContextHandler<T> {
    Object handle(T payload, Context context) throws Exception;
}
