package procession;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.Type;
import procession.protocol.Ending;
import procession.protocol.Ending.Fault;

/** A handler, and what it wants to be given. */
record Action<T>(Type type, ContextHandler<T> handler) {
    /** Whatever it comes to is an ending. */
    Ending carryOut(Gson gson, JsonElement payload, Context context) {
        try {
            T value = Payloads.read(gson, payload, type);
            return Ending.succeeded(Payloads.tree(gson, handler.handle(value, context)));
        } catch (Failure failure) {
            return Ending.failed(fault(failure), failure.isRetryable());
        } catch (Throwable error) { // the rim: nothing of a handler harms another one
            return Ending.failed(fault(error), true);
        }
    }

    private static Fault fault(Throwable error) {
        return new Fault(error.getClass().getName(), message(error), trace(error));
    }

    private static String message(Throwable error) {
        try {
            return String.valueOf(error.getMessage());
        } catch (RuntimeException unspeakable) {
            return "its message cannot be said";
        }
    }

    private static String trace(Throwable error) {
        StringWriter text = new StringWriter();
        try {
            error.printStackTrace(new PrintWriter(text));
        } catch (RuntimeException unspeakable) {
            text.append(" (the rest of the trace cannot be said)");
        }
        return text.toString();
    }
}
