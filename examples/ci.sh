#!/bin/sh
# A CI job from nothing to an API call, twice: with a client's credentials, and with what the CI says of the job.
#
# It wants from its CI: ISSUER and API (URLs), ACME_SECRET (a masked variable), and the job's own identity token in
# BUILD_TOKEN. On GitHub and GitLab that last one is `identity-token = { github-actions = true }` or `{ gitlab = true }`,
# and needs no variable of yours. No token is printed, and none is in an argument: curl reads its header from a pipe.
set -eu

# The runner's home may be shared or not there at all; a folder of this job's own is all that is needed.
job=$(mktemp -d)
trap 'rm -rf "$job"' EXIT
export CLAVIGER_HOME="$job/claviger"
mkdir -m 700 "$CLAVIGER_HOME"

ask() {
  claviger exec --env TOKEN "$1" -- sh -c \
    'printf "Authorization: Bearer %s\n" "$TOKEN" | curl --fail --silent --show-error --header @- "$1"' sh "$API"
}

echo '== a secret of the project: kept in files of this job, made once however many steps ask'
export CLAVIGER_STORAGE=plaintext
claviger providers add service --issuer "$ISSUER" --client-id svc --client-auth client_secret_basic \
  --client-secret-env ACME_SECRET --grant client_credentials --service https://api.acme.example
ask service
ask service

echo '== no secret at all: the identity token of the job is exchanged, and nothing is written'
export CLAVIGER_STORAGE=none
cat >> "$CLAVIGER_HOME/config.toml" <<'TOML'

[providers.build]
issuer = "ISSUER"
client-id = "runner"
grant = "token_exchange"
identity-token = { env = "BUILD_TOKEN" }
services = ["https://git.acme.example"]
TOML
sed "s|\"ISSUER\"|\"$ISSUER\"|" "$CLAVIGER_HOME/config.toml" > "$job/config" && mv "$job/config" "$CLAVIGER_HOME/config.toml"
chmod 600 "$CLAVIGER_HOME/config.toml"
ask build
