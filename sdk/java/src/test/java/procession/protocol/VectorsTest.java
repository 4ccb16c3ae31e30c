package procession.protocol;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import procession.support.Check;
import procession.support.Skipped;

/** What all ends of the protocol agree about. */
public class VectorsTest {
    private static final String SESSION = "6f1c2b9e-3d64-4c1f-9a57-0c4a3e9b7d21";

    void every_example_is_judged_as_all_other_ends_judge_it() {
        List<String> wrong = new ArrayList<>();
        List<JsonObject> examples = examples();
        for (JsonObject each : examples) {
            String why = fault(each);
            if ((why == null) != each.get("good").getAsBoolean()) {
                wrong.add(each.get("name").getAsString() + ": " + why);
            }
        }
        Check.that(examples.size() >= 300, examples.size());
        Check.that(wrong.isEmpty(), wrong);
    }

    /** What this end finds wrong; null if nothing is. */
    private static String fault(JsonObject example) {
        String frame = frame(example);
        try {
            if (example.get("from").getAsString().equals("worker")) {
                Wire.fromWorker(frame);
            } else {
                Wire.fromServer(frame).messages().forEach(Heard::of);
            }
            return null;
        } catch (BadFrame error) {
            return error.getMessage();
        }
    }

    private static String frame(JsonObject example) {
        if (example.has("message")) {
            return Wire.frame(SESSION, List.of(Wire.text(example.get("message"))));
        }
        JsonElement frame = example.get("frame");
        return frame.isJsonPrimitive() ? frame.getAsString() : Wire.text(frame);
    }

    private static List<JsonObject> examples() {
        Path folder = Path.of(System.getProperty("procession.vectors", "../vectors")).resolve("messages");
        if (!Files.isDirectory(folder)) {
            throw new Skipped("there is no " + folder);
        }
        List<JsonObject> all = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path each : files.sorted().toList()) {
                JsonArray list = JsonParser.parseString(Files.readString(each)).getAsJsonArray();
                list.forEach(example -> all.add(example.getAsJsonObject()));
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return all;
    }
}
