package procession;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.util.ArrayList;
import java.util.List;

/** A request that the server did not carry out, in the server's words. */
public final class Problem extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final int status;
    private final String detail;
    private final String field;
    private final String remedy;
    private final List<String> faults;

    private Problem(int status, String detail, String field, String remedy, List<String> faults) {
        super(sentence(status, detail, field, remedy, faults));
        this.status = status;
        this.detail = detail;
        this.field = field;
        this.remedy = remedy;
        this.faults = List.copyOf(faults);
    }

    /** From a problem document, or from whatever else was answered. */
    static Problem of(int status, String body) {
        JsonObject told = read(body);
        List<String> faults = new ArrayList<>();
        if (told.get("faults") != null && told.get("faults").isJsonArray()) {
            told.getAsJsonArray("faults").forEach(each -> faults.add(fault(each)));
        }
        String detail = text(told, "detail");
        return new Problem(status, detail == null ? "" : detail, text(told, "field"), text(told, "remedy"), faults);
    }

    private static JsonObject read(String body) {
        try {
            JsonElement told = JsonParser.parseString(body);
            return told.isJsonObject() ? told.getAsJsonObject() : new JsonObject();
        } catch (JsonParseException error) {
            return new JsonObject();
        }
    }

    private static String fault(JsonElement told) {
        if (!told.isJsonObject()) {
            return told.toString();
        }
        return text(told.getAsJsonObject(), "field") + ": " + text(told.getAsJsonObject(), "message");
    }

    private static String text(JsonObject told, String name) {
        JsonElement value = told.get(name);
        return value == null || !value.isJsonPrimitive() ? null : value.getAsString();
    }

    private static String sentence(int status, String detail, String field, String remedy, List<String> faults) {
        StringBuilder said = new StringBuilder(field == null ? "" : field + ": ");
        said.append(detail.isEmpty() ? "the server answers " + status : detail);
        faults.forEach(each -> said.append("; ").append(each));
        return remedy == null ? said.toString() : said.append(" (").append(remedy).append(')').toString();
    }

    /** The status of HTTP: 404 there is none, 409 not now, 422 it makes no sense, 503 not there. */
    public int status() {
        return status;
    }

    public String detail() {
        return detail;
    }

    /** The field that is at fault; null if it is none alone. */
    public String field() {
        return field;
    }

    /** What to do about it; null if nobody knows. */
    public String remedy() {
        return remedy;
    }

    /** All that is wrong with the request. */
    public List<String> faults() {
        return faults;
    }
}
