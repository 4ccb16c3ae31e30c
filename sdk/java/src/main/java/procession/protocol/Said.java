package procession.protocol;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.Collection;
import java.util.List;

/** What a worker says, as JSON. */
final class Said {
    private Said() {}

    static JsonObject hello(Served served, Collection<String> running) {
        JsonObject said = of("hello");
        said.addProperty("oldest", Wire.OLDEST);
        said.addProperty("newest", Wire.NEWEST);
        said.addProperty("name", served.name());
        said.addProperty("slots", served.slots());
        said.add("actions", texts(served.actions()));
        said.add("workflows", new JsonArray());
        said.add("running", texts(running));
        said.addProperty("sdk", served.sdk());
        said.addProperty("host", served.host());
        said.addProperty("pid", served.pid());
        return said;
    }

    static JsonObject lease(Collection<String> running) {
        JsonObject said = of("lease");
        said.add("running", texts(running));
        return said;
    }

    static JsonObject ended(String attempt, Ending ending) {
        JsonObject said = of("ended", attempt);
        said.addProperty("ending", ending.kind().name());
        if (ending.output() != null) {
            said.add("output", ending.output());
        }
        if (ending.error() != null) {
            said.add("error", ending.error().json());
            said.addProperty("retryable", ending.retryable());
        }
        if (ending.isLost()) {
            said.addProperty("lost", true);
        }
        return said;
    }

    static JsonObject back(String attempt, String why) {
        JsonObject said = of("back", attempt);
        said.addProperty("why", why);
        return said;
    }

    static JsonObject progress(String attempt, Double percent, String message, JsonObject data) {
        JsonObject said = of("progress", attempt);
        said.addProperty("percent", percent);
        said.addProperty("message", message);
        said.add("data", data);
        return said;
    }

    static JsonObject log(String attempt, long offset, String text) {
        JsonObject said = of("log", attempt);
        said.addProperty("offset", offset);
        said.addProperty("text", text);
        return said;
    }

    static JsonObject of(String type) {
        JsonObject said = new JsonObject();
        said.addProperty("type", type);
        return said;
    }

    private static JsonObject of(String type, String attempt) {
        JsonObject said = of(type);
        said.addProperty("attempt", attempt);
        return said;
    }

    private static JsonElement texts(Collection<String> all) {
        JsonArray list = new JsonArray();
        List.copyOf(all).forEach(list::add);
        return list;
    }
}
