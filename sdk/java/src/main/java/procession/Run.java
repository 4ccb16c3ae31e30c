package procession;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.Set;

/** A run, as the server showed it. {@code json} has everything that there is to know. */
public record Run(String id, String type, String status, String error, JsonElement output, JsonObject json) {
    private static final Set<String> FINAL = Set.of("COMPLETED", "FAILED", "STOPPED");

    static Run of(JsonObject told) {
        return new Run(
                told.get("id").getAsString(),
                told.get("type").getAsString(),
                told.get("status").getAsString(),
                Payloads.text(Payloads.DEFAULT, told.get("error")),
                told.get("output"),
                told);
    }

    public boolean isOver() {
        return FINAL.contains(status);
    }

    public boolean hasSucceeded() {
        return "COMPLETED".equals(status);
    }

    /** The output as text: a JSON text as it is, anything else as JSON. */
    public String text() {
        return Payloads.text(Payloads.DEFAULT, output);
    }
}
