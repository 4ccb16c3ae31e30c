package procession.protocol;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** What a part of a message has to be. What is unknown is passed over, what is known has to be right. */
@FunctionalInterface
interface Shape {
    int MOST = 1_000; // messages, or elements of one list
    int LONGEST = 256 << 10; // characters of one text
    int DEEPEST = 72; // outputs may be nested 64 deep, and stand within something
    BigInteger HIGHEST = BigInteger.valueOf(Long.MAX_VALUE);
    BigInteger LOWEST = BigInteger.valueOf(Long.MIN_VALUE);
    Pattern DIGITS = Pattern.compile("-?[0-9]{1,40}");

    void check(JsonElement told, String where) throws BadFrame;

    /** A field of an object: whether it may be missing, and whether it may be null. */
    record Field(String name, Shape shape, boolean needed, boolean nullable) {}

    static Field need(String name, Shape shape) {
        return new Field(name, shape, true, false);
    }

    static Field may(String name, Shape shape) {
        return new Field(name, shape, false, true);
    }

    static Field spare(String name, Shape shape) {
        return new Field(name, shape, false, false);
    }

    static Shape object(Field... fields) {
        return (told, where) -> {
            JsonObject object = object(told, where);
            for (Field each : fields) {
                String place = where + "." + each.name;
                JsonElement value = object.get(each.name);
                if (value == null && each.needed) {
                    throw new BadFrame(place + " is missing");
                }
                if (value != null && !(each.nullable && value.isJsonNull())) {
                    each.shape.check(value, place);
                }
            }
        };
    }

    static JsonObject object(JsonElement told, String where) throws BadFrame {
        if (!told.isJsonObject()) {
            throw new BadFrame(where + ": an object is due");
        }
        return told.getAsJsonObject();
    }

    static Shape list(Shape shape) {
        return (told, where) -> {
            if (!told.isJsonArray() || told.getAsJsonArray().size() > MOST) {
                throw new BadFrame(where + ": a list of " + MOST + " at most is due");
            }
            JsonArray list = told.getAsJsonArray();
            for (int place = 0; place < list.size(); place++) {
                shape.check(list.get(place), where + "[" + place + "]");
            }
        };
    }

    static Shape text() {
        return text(0, LONGEST);
    }

    static Shape text(int least, int most) {
        return (told, where) -> {
            String text = textOf(told);
            if (text == null || text.codePointCount(0, text.length()) > most || text.length() < least) {
                throw new BadFrame(where + ": a text of " + least + " to " + most + " characters is due");
            }
            storable(text, where);
        };
    }

    static Shape oneOf(String... words) {
        Set<String> due = Set.of(words);
        return (told, where) -> {
            String text = textOf(told);
            if (text == null || !due.contains(text)) {
                throw new BadFrame(where + ": one of " + String.join(", ", words) + " is due");
            }
        };
    }

    /** A text of a pattern, in words. */
    static Shape text(Pattern pattern, String rule) {
        return (told, where) -> {
            String text = textOf(told);
            if (text == null || !pattern.matcher(text).matches()) {
                throw new BadFrame(where + ": " + rule);
            }
        };
    }

    static Shape flag() {
        return (told, where) -> {
            if (!(told instanceof JsonPrimitive primitive) || !primitive.isBoolean()) {
                throw new BadFrame(where + ": true or false is due");
            }
        };
    }

    static Shape whole() {
        return whole(0, Long.MAX_VALUE);
    }

    static Shape whole(long least, long most) {
        return (told, where) -> {
            BigInteger number = wholeOf(told);
            if (number == null
                    || number.compareTo(BigInteger.valueOf(least)) < 0
                    || number.compareTo(BigInteger.valueOf(most)) > 0) {
                throw new BadFrame(where + ": a whole number from " + least + " to " + most + " is due");
            }
        };
    }

    static Shape number(double least, double most) {
        return (told, where) -> {
            if (!isNumber(told) || !(told.getAsDouble() >= least && told.getAsDouble() <= most)) {
                throw new BadFrame(where + ": a number from " + least + " to " + most + " is due");
            }
        };
    }

    /** Any JSON that can be stored. */
    static Shape any() {
        return (told, where) -> {
            if (!isStorable(told, DEEPEST)) {
                bounded(told, where, DEEPEST); // says where
            }
        };
    }

    static Shape mapping() {
        return (told, where) -> any().check(object(told, where), where);
    }

    private static boolean isStorable(JsonElement told, int depth) {
        if (told instanceof JsonObject object) {
            return depth > 0
                    && object.entrySet().stream()
                            .allMatch(each -> isSound(each.getKey()) && isStorable(each.getValue(), depth - 1));
        }
        if (told instanceof JsonArray list) {
            return depth > 0 && list.asList().stream().allMatch(each -> isStorable(each, depth - 1));
        }
        String text = textOf(told);
        if (text != null) {
            return text.length() <= LONGEST && isSound(text);
        }
        return !isNumber(told) || isSmall(told.getAsString());
    }

    /** Not all that are, but all that are usual. */
    private static boolean isSmall(String number) {
        return number.length() <= 16 && number.indexOf('e') < 0 && number.indexOf('E') < 0;
    }

    private static boolean isSound(String text) {
        return text.indexOf('\0') < 0 && isWhole(text);
    }

    private static void bounded(JsonElement told, String where, int depth) throws BadFrame {
        if (depth == 0 && !told.isJsonPrimitive() && !told.isJsonNull()) {
            throw new BadFrame(where + ": nested deeper than " + DEEPEST);
        }
        if (told instanceof JsonObject object) {
            for (Map.Entry<String, JsonElement> each : object.entrySet()) {
                storable(each.getKey(), where);
                bounded(each.getValue(), where + "." + shortened(each.getKey()), depth - 1);
            }
        } else if (told instanceof JsonArray list) {
            for (int place = 0; place < list.size(); place++) {
                bounded(list.get(place), where + "[" + place + "]", depth - 1);
            }
        } else if (isNumber(told)) {
            storable(told, where);
        } else if (textOf(told) != null) {
            text().check(told, where);
        }
    }

    private static void storable(JsonElement number, String where) throws BadFrame {
        BigInteger whole = wholeOf(number);
        if (whole != null && (whole.compareTo(HIGHEST) > 0 || whole.compareTo(LOWEST) < 0)) {
            throw new BadFrame(where + ": a whole number of 64 bits is due");
        }
        if (!Double.isFinite(number.getAsDouble())) {
            throw new BadFrame(where + ": the number is too large");
        }
    }

    private static void storable(String text, String where) throws BadFrame {
        if (!isSound(text)) {
            throw new BadFrame(where + ": a text without NUL and without halves of characters is due");
        }
    }

    static boolean isWhole(String text) {
        for (int place = 0; place < text.length(); place++) {
            char each = text.charAt(place);
            if (Character.isHighSurrogate(each)) {
                if (++place == text.length() || !Character.isLowSurrogate(text.charAt(place))) {
                    return false;
                }
            } else if (Character.isLowSurrogate(each)) {
                return false;
            }
        }
        return true;
    }

    static String textOf(JsonElement told) {
        return told instanceof JsonPrimitive primitive && primitive.isString() ? primitive.getAsString() : null;
    }

    static boolean isNumber(JsonElement told) {
        return told instanceof JsonPrimitive primitive && primitive.isNumber();
    }

    private static BigInteger wholeOf(JsonElement told) {
        if (!isNumber(told)) {
            return null;
        }
        Number number = told.getAsNumber();
        if (number instanceof Double || number instanceof Float || number instanceof BigDecimal) {
            return null;
        }
        String digits = told.getAsString();
        return DIGITS.matcher(digits).matches() ? new BigInteger(digits) : tooLong(digits);
    }

    /** A whole number of more digits than anybody counts to is a number all the same. */
    private static BigInteger tooLong(String digits) {
        boolean isWhole = digits.chars().allMatch(each -> each == '-' || Character.isDigit(each));
        return isWhole ? HIGHEST.add(BigInteger.ONE) : null;
    }

    private static String shortened(String name) {
        List<Integer> points = new ArrayList<>(name.codePoints().limit(60).boxed().toList());
        StringBuilder text = new StringBuilder();
        points.forEach(text::appendCodePoint);
        return text.toString();
    }
}
