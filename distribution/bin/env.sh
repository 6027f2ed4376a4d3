# Sourced by the other scripts, not run.
SKYLARK_HOME=$(dirname -- "$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")")
SKYLARK=$SKYLARK_HOME/packages/standalone/bin/skylark.cjs
# Further certificates are read at every start of Node, and nothing here needs them: it would cost 50 ms.
unset NODE_EXTRA_CA_CERTS
command -v node > /dev/null || {
  echo "node is not on the PATH; install Node.js 20.19 or newer (https://nodejs.org)" >&2
  exit 127
}
