package procession;

public class ServerTest {}
