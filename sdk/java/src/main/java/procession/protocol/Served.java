package procession.protocol;

import java.util.List;

/** Who this worker is, and what it serves. */
public record Served(String name, int slots, List<String> actions, String sdk, String host, long pid) {}
