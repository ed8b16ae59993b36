#!/bin/sh
# Puts one model into $OLLAMA_MODELS (default /models) while an image is built: bake_model.sh MODEL [flags for `ollama pull`]
# A server of its own pulls it and is awaited at its start and its end; nothing but the model, its licence text and one line stays.
set -eu

model=${1-}
[ $# -eq 0 ] || shift
HOME=$(mktemp -d) # where the server writes its private key: not into the image
export HOME OLLAMA_MODELS="${OLLAMA_MODELS:-/models}"
export OLLAMA_HOST="${BAKE_HOST:-127.0.0.1:11435}" # not the usual port: the build may share the network of a machine that runs Ollama
export OLLAMA_NO_CLOUD=1
server=

# shellcheck disable=SC2317,SC2329 # called by the trap
clean_up() {
    if [ -n "$server" ]; then kill -KILL "$server" 2> /dev/null || true; fi
    rm -rf "$HOME"
}
trap clean_up EXIT

fail() {
    echo "MODEL=$model $1" >&2
    exit 1
}

# What a program said last, without the control characters of its progress bar.
last_words() { tr '\r' '\n' < "$1" | tr -d '\033' | sed 's/\[?*[0-9;]*[A-Za-z]//g' | grep -v '^[[:space:]]*$' | tail -n 1; }

case $model in
    '') fail "is empty: it must name a model such as gemma3:1b" ;;
    -* | *[!A-Za-z0-9._:/-]*) fail "is no model's name" ;;
esac

! ollama list > /dev/null 2>&1 || fail "could not be pulled: another server answers at $OLLAMA_HOST, BAKE_HOST names another address"
ollama serve > "$HOME/serve.log" 2>&1 &
server=$!
tries=0
until ollama list > /dev/null 2>&1; do
    tries=$((tries + 1))
    kill -0 "$server" 2> /dev/null || fail "could not be pulled, the server ended: $(last_words "$HOME/serve.log")"
    [ "$tries" -lt 300 ] || fail "could not be pulled, the server did not answer within a minute"
    sleep 0.2
done

echo "pulling $model (this may take minutes)"
ollama pull "$@" -- "$model" > "$HOME/pull.log" 2>&1 || fail "could not be pulled: $(last_words "$HOME/pull.log")"
kill -0 "$server" 2> /dev/null || fail "could not be pulled, the server ended: $(last_words "$HOME/serve.log")"
ollama show "$model" > "$HOME/show.log" 2>&1 || fail "was pulled but cannot be read: $(last_words "$HOME/show.log")"
count=$(find "$OLLAMA_MODELS/manifests" -type f | wc -l)
[ "$count" -eq 1 ] || fail "is not the only model in $OLLAMA_MODELS: there are $count"
ollama show --license "$model" > "$OLLAMA_MODELS/LICENCE"

kill -TERM "$server"
wait "$server" || fail "was pulled, but the server did not end well: $(last_words "$HOME/serve.log")"
server=
chmod -R a+rX "$OLLAMA_MODELS"
echo "$model is in $OLLAMA_MODELS, manifest sha256:$(find "$OLLAMA_MODELS/manifests" -type f -exec sha256sum {} + | cut -d ' ' -f 1)"
