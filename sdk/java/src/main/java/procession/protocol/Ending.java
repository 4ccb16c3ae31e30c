package procession.protocol;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;

/** What became of an attempt. */
public record Ending(Kind kind, JsonElement output, Fault error, boolean retryable, boolean isLost) {
    /** As the protocol names them. */
    public enum Kind {
        SUCCEEDED,
        FAILED,
        TIMED_OUT,
        STOPPED
    }

    /** An error as it is told: shortened to what the protocol carries. */
    public record Fault(String type, String message, String trace) {
        private static final int TYPE = 200;
        private static final int MESSAGE = 2_000;
        private static final int TRACE = 16_000;

        public Fault {
            type = Texts.fitting(type, TYPE);
            message = Texts.fitting(message, MESSAGE);
            trace = trace == null ? null : Texts.fitting(trace, TRACE);
        }

        JsonObject json() {
            JsonObject said = new JsonObject();
            said.addProperty("type", type);
            said.addProperty("message", message);
            if (trace != null) {
                said.addProperty("trace", trace);
            }
            return said;
        }
    }

    public static Ending succeeded(JsonElement output) {
        return new Ending(Kind.SUCCEEDED, output, null, true, false);
    }

    public static Ending failed(Fault error, boolean retryable) {
        return new Ending(Kind.FAILED, null, error, retryable, false);
    }

    public static Ending timedOut(String why) {
        return new Ending(Kind.TIMED_OUT, null, new Fault("TimedOut", why, null), true, false);
    }

    public static Ending stopped(String why) {
        return new Ending(Kind.STOPPED, null, new Fault("Stopped", why, null), true, false);
    }

    /** It was to stop, and nobody will say how it ended. */
    public static Ending lost(String why) {
        return new Ending(Kind.STOPPED, null, new Fault("Stopped", why, null), true, true);
    }
}
