#!/bin/sh
# Defines the chain, orders it twice with one key, and looks until it is done.
# PROCESSION_URL says where, PROCESSION_TOKEN is the token of somebody who may define things.
set -eu

ask() {
    printf 'header = "Authorization: Bearer %s"\n' "$PROCESSION_TOKEN" |
        curl --silent --show-error --fail-with-body --config - --header 'Content-Type: application/json' "$@"
}
url=${PROCESSION_URL:-http://127.0.0.1:8080}/workflow
key=${1:-order-123}

ask "$url/" --data '{"id": "checkout-pipeline", "steps": [
    {"action": "charge-credit-card", "stepIndex": 0},
    {"action": "generate-invoice", "stepIndex": 1},
    {"action": "send-welcome-email", "stepIndex": 2}
]}' >/dev/null

order() {
    ask "$url/checkout-pipeline/trigger" --header "Idempotency-Key: $key" \
        --data '{"input": "{\"order_id\": 123}"}'
}
run=$(order | tr -d '"')
[ "$run" = "$(order | tr -d '"')" ] || { echo "two runs of one order" >&2; exit 1; }

while status=$(ask "$url/run/$run") && case $status in *'"status":"RUNNING"'*) true ;; *) false ;; esac
do sleep 1; done
printf '%s\n' "$status"
