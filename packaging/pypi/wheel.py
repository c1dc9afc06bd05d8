"""Tells hatchling what is in a wheel that carries an executable, and for which platform it is."""

import os
import pathlib

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Executable(BuildHookInterface):
    """What lies in scripts/ goes into the folder of the environment's programs, as it is."""

    def initialize(self, version, build_data):
        scripts = pathlib.Path(self.root, "scripts")
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + os.environ["WHEEL_PLATFORM"]
        build_data["shared_scripts"] = {str(path): path.name for path in sorted(scripts.iterdir())}
