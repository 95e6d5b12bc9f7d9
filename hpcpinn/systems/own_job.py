"""Copy a bundled job, with the files that it reads, as the start of one's own."""

import re
from pathlib import Path

from hpcpinn.errors import InputError, OutputError
from hpcpinn.parallel import stopping
from hpcpinn.systems.jobs import BundledJob


def copy_job(job: BundledJob, folder: Path) -> list[Path]:
    """Writes the job file and its inputs into a folder, all or none.

    Returns:
        The files, the job first.

    Raises:
        InputError: One of them is there already, or the folder is a file.
        OutputError: They cannot be written.
    """
    contents = {job.file.name: _named_by_file(job.file.read_bytes(), job.name)}
    contents |= {name: (job.file.parent / name).read_bytes() for name in job.inputs}
    there = [name for name in contents if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise InputError(
            f"{', '.join(str(folder / name) for name in there)}: there already, and nothing is replaced; "
            "name another folder with --to"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with stopping.unbroken(f"{folder} has all of it"):
            for name, content in contents.items():
                with (folder / name).open("xb") as file:
                    file.write(content)
    except FileExistsError as error:
        raise InputError(f"--to {folder}: {error.filename} is no folder, or came in between; name another") from None
    except OSError as error:
        place = error.filename or folder
        raise OutputError(f"{place}: cannot be written ({error.strerror}); name another folder with --to") from None
    return [folder / name for name in contents]


def _named_by_file(text: bytes, name: str) -> bytes:
    """The job with the commands in its comments meant for the copy: ``hpcpinn run NAME.toml``."""
    pattern = rf"(?m)^(#.*?hpcpinn [\w-]+ ){re.escape(name)}(?![\w.])"
    return re.sub(pattern.encode(), rb"\g<1>" + f"{name}.toml".encode(), text)
