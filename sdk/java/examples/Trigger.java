import procession.Client;

/** Defines two steps, starts them once, waits for what comes out. */
public class Trigger {
    public static void main(String[] args) {
        Client client = new Client();

        client.defineWorkflow("two-steps", "step1", "step2");
        String run = client.triggerWorkflow("two-steps", "hello", args.length > 0 ? args[0] : null);

        System.out.println(client.status(run).status());
        System.out.println(client.outputText(run));
    }
}
