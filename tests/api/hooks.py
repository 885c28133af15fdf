"""How schemathesis sends the media types that it does not know."""

import io
import tarfile

import schemathesis


@schemathesis.serializer("application/x-tar")
def archive(_context, value):
    """A tar of one file with what was generated; now and then not a tar at all."""
    content = value if isinstance(value, bytes) else str(value).encode()
    if len(content) % 3 == 0:
        return content
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("generated.bin")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
