"""The C kernels go into the wheel where there is a compiler; without one the package computes the same in torch."""

import runpy
import subprocess
import sysconfig
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = "dnadiff/ops/native"


class Kernels(BuildHookInterface):
    """Compiles before the wheel is packed; an editable install leaves the library in the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library and mark the wheel as one for this kind of machine, of any Python."""
        compile_library = runpy.run_path(f"{self.root}/{NATIVE}/build.py")["compile_library"]
        try:
            compile_library()
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"the C kernels are left out: {error}")
            return
        build_data["artifacts"].append(f"{NATIVE}/_kernels.so")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
