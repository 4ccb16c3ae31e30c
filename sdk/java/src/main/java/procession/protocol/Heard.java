package procession.protocol;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;

/** What a server says, of what concerns a worker of actions. */
public sealed interface Heard {
    record Welcome(double beat, double lease, double poll, String server, List<String> forget) implements Heard {}

    record Offer(
            String attempt,
            String action,
            JsonElement payload,
            String run,
            String task,
            String typeName,
            int number,
            String key,
            Double timeout,
            Double grace,
            boolean isWorkflow)
            implements Heard {}

    record Command(String attempt, Verb verb, String reason) implements Heard {}

    /** What is wanted of an attempt. */
    enum Verb {
        STOP,
        KILL,
        HOLD,
        RESUME
    }

    record Have(List<String> attempts) implements Heard {}

    record Forget(String attempt) implements Heard {}

    record Bye(String why, boolean fenced) implements Heard {}

    /** A message that has its shape; null if it is none for a worker of actions. */
    static Heard of(JsonObject told) {
        return switch (told.get("type").getAsString()) {
            case "welcome" -> new Welcome(
                    told.get("beat").getAsDouble(),
                    told.get("lease").getAsDouble(),
                    told.get("poll").getAsDouble(),
                    text(told, "server"),
                    texts(told, "forget"));
            case "offer" -> offer(told);
            case "command" -> new Command(
                    text(told, "attempt"),
                    Verb.valueOf(text(told, "verb").toUpperCase(java.util.Locale.ROOT)),
                    text(told, "reason"));
            case "have" -> new Have(texts(told, "attempts"));
            case "forget" -> new Forget(text(told, "attempt"));
            case "bye" -> new Bye(text(told, "why"), told.get("fenced").getAsBoolean());
            default -> null;
        };
    }

    private static Offer offer(JsonObject told) {
        JsonElement workflow = told.get("workflow");
        return new Offer(
                text(told, "attempt"),
                text(told, "action"),
                told.has("payload") ? told.get("payload") : JsonNull.INSTANCE,
                text(told, "run"),
                text(told, "task"),
                text(told, "type_name"),
                told.get("number").getAsInt(),
                text(told, "key"),
                seconds(told, "timeout"),
                seconds(told, "grace"),
                workflow != null && !workflow.isJsonNull());
    }

    private static Double seconds(JsonObject told, String name) {
        JsonElement found = told.get(name);
        return found == null || found.isJsonNull() ? null : Double.valueOf(found.getAsDouble());
    }

    private static String text(JsonObject told, String name) {
        return told.get(name).getAsString();
    }

    private static List<String> texts(JsonObject told, String name) {
        List<String> all = new ArrayList<>();
        if (told.has(name)) {
            told.getAsJsonArray(name).forEach(each -> all.add(each.getAsString()));
        }
        return all;
    }
}
