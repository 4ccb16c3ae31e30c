package procession;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonParseException;
import com.google.gson.JsonPrimitive;
import com.google.gson.ToNumberPolicy;
import java.lang.reflect.Type;

/** Values of programs and JSON. */
final class Payloads {
    static final Gson DEFAULT = new GsonBuilder()
            .serializeNulls()
            .disableHtmlEscaping()
            .setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE)
            .create();

    private Payloads() {}

    /** A text is itself; what is something else becomes JSON, if a text is wanted. */
    static <T> T read(Gson gson, JsonElement told, Type type) {
        try {
            return found(gson, told, type);
        } catch (JsonParseException | NumberFormatException | IllegalStateException error) {
            throw new Failure("the payload is no " + type.getTypeName() + ": " + error.getMessage(), false, error);
        }
    }

    @SuppressWarnings("unchecked")
    private static <T> T found(Gson gson, JsonElement told, Type type) {
        if (type == String.class) {
            return (T) text(gson, told);
        }
        if (type instanceof Class<?> kind && kind != Object.class && kind.isInstance(told)) {
            return (T) told;
        }
        return gson.fromJson(told, type);
    }

    static String text(Gson gson, JsonElement told) {
        if (told == null || told.isJsonNull()) {
            return null;
        }
        boolean isText = told instanceof JsonPrimitive primitive && primitive.isString();
        return isText ? told.getAsString() : gson.toJson(told);
    }

    static JsonElement tree(Gson gson, Object value) {
        return value == null ? JsonNull.INSTANCE : value instanceof JsonElement told ? told : gson.toJsonTree(value);
    }
}
