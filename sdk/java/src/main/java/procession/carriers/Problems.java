package procession.carriers;

import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;

/** Refusals of a server. */
final class Problems {
    private Problems() {}

    /** What a problem document says for people; empty if it is none. */
    static String detail(String body) {
        try {
            JsonElement told = JsonParser.parseString(body);
            JsonElement detail = told.isJsonObject() ? told.getAsJsonObject().get("detail") : null;
            return detail != null && detail.isJsonPrimitive() ? detail.getAsString() : "";
        } catch (JsonParseException error) {
            return "";
        }
    }
}
