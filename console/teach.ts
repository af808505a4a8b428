/** Lines to paste, for a Weir in which nothing happens yet. */

/** Sends the first event to a Broker (CloudEvents HTTP binding §3.1, binary mode). Any POSIX shell takes it as it is. */
export function curlLine(brokerUrl: string): string {
  const lines = [
    `curl -i ${quoted(brokerUrl)}`,
    `-H ${quoted('ce-specversion: 1.0')} -H ${quoted('ce-id: 1')} -H ${quoted('ce-type: hello')} -H ${quoted('ce-source: /me')}`,
    `-H ${quoted('content-type: application/json')} -d ${quoted('{"text": "hello"}')}`,
  ]
  return lines.join(' \\\n  ')
}

/** POSIX shell §2.2.2: between single quotes everything is itself, and a single quote cannot be there. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** The smallest Trigger that receives everything. */
export function triggerYaml(broker: string): string {
  return `apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: everything
spec:
  broker: ${broker}
  subscriber:
    uri: http://127.0.0.1:3000/`
}
