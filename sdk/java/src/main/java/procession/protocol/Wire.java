package procession.protocol;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.TypeAdapter;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import java.io.IOException;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Frames as text: checked when they are read, since whoever sent them may be anybody. */
public final class Wire {
    public static final int OLDEST = 1;
    public static final int NEWEST = 1;
    public static final int LARGEST = 1 << 20; // bytes of a frame
    static final int LARGEST_MESSAGE = LARGEST - (16 << 10);

    private static final Gson GSON =
            new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    private static final TypeAdapter<JsonElement> ELEMENTS = GSON.getAdapter(JsonElement.class);

    private Wire() {}

    /** A frame that has its shape. */
    public record Frame(String session, List<JsonObject> messages) {}

    public static Frame fromServer(String text) throws BadFrame {
        return frame(text, Shapes.FROM_SERVER);
    }

    public static Frame fromWorker(String text) throws BadFrame {
        return frame(text, Shapes.FROM_WORKER);
    }

    static String text(JsonElement told) {
        return GSON.toJson(told);
    }

    static String frame(String session, List<String> messages) {
        String quoted = GSON.toJson(session);
        return "{\"session\":" + quoted + ",\"messages\":[" + String.join(",", messages) + "]}";
    }

    private static Frame frame(String text, Map<String, Shape> shapes) throws BadFrame {
        if (text.length() > LARGEST || Texts.bytes(text) > LARGEST) {
            throw new BadFrame("a frame has " + LARGEST + " bytes at most");
        }
        JsonObject frame = Shape.object(load(text), "a frame");
        Shapes.SESSION.check(orNull(frame.get("session")), "session");
        String session = frame.get("session").getAsString();
        JsonElement given = orNull(frame.get("messages"));
        if (!given.isJsonArray() || given.getAsJsonArray().size() > Shape.MOST) {
            throw new BadFrame("messages: a list of " + Shape.MOST + " at most is due");
        }
        return new Frame(session, known(given.getAsJsonArray(), shapes));
    }

    private static List<JsonObject> known(JsonArray given, Map<String, Shape> shapes) throws BadFrame {
        List<JsonObject> found = new ArrayList<>(given.size());
        for (int place = 0; place < given.size(); place++) {
            if (check(given.get(place), "messages[" + place + "]", shapes)) {
                found.add(given.get(place).getAsJsonObject());
            }
        }
        return found;
    }

    /** Whether this message is one that is known. */
    private static boolean check(JsonElement told, String where, Map<String, Shape> shapes) throws BadFrame {
        String type = told instanceof JsonObject object ? Shape.textOf(orNull(object.get("type"))) : null;
        if (type == null) {
            throw new BadFrame(where + ".type: a text is missing");
        }
        Shape shape = shapes.get(type);
        if (shape == null) {
            return false;
        }
        shape.check(told, where);
        return true;
    }

    /** A message of ours as text. What is wrong with it is said before anybody else does. */
    static String own(JsonObject said) throws BadFrame {
        check(said, said.get("type").getAsString(), Shapes.FROM_WORKER);
        String text = text(said);
        int size = Texts.bytes(text);
        if (size > LARGEST_MESSAGE) {
            throw new BadFrame("it has " + size + " bytes as JSON, and " + LARGEST_MESSAGE + " can be sent");
        }
        return text;
    }

    private static JsonElement orNull(JsonElement told) {
        return told == null ? JsonNull.INSTANCE : told;
    }

    /** JSON to the letter: Gson by itself would let pass what is none. */
    static JsonElement load(String text) throws BadFrame {
        refuseLoose(text);
        try (JsonReader reader = new JsonReader(new StringReader(text))) {
            JsonElement told = ELEMENTS.read(reader);
            if (reader.peek() != JsonToken.END_DOCUMENT) {
                throw new BadFrame("not JSON: there is more behind it");
            }
            return told;
        } catch (IOException | JsonParseException | IllegalStateException | NumberFormatException error) {
            throw new BadFrame("not JSON: " + Texts.fitting(error.getMessage(), 200));
        }
    }

    /** Gson takes raw control characters, and TRUE for true. */
    private static void refuseLoose(String text) throws BadFrame {
        boolean isQuoted = false;
        for (int place = 0; place < text.length(); place++) {
            char each = text.charAt(place);
            if (each == '"') {
                isQuoted = !isQuoted;
            } else if (isQuoted && each == '\\') {
                place++;
            } else if (isQuoted ? each < ' ' : isLoose(each, place == 0 ? ' ' : text.charAt(place - 1))) {
                throw new BadFrame("not JSON: a character of " + (int) each + " does not belong there");
            }
        }
    }

    private static boolean isLoose(char each, char before) {
        boolean isSpace = each == ' ' || each == '\n' || each == '\r' || each == '\t';
        boolean isCapital = each >= 'A' && each <= 'Z' && !(each == 'E' && Character.isDigit(before));
        return (each < ' ' && !isSpace) || isCapital;
    }
}
