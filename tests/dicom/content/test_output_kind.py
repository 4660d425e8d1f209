import subprocess
import sys


def test_the_settings_name_the_kinds_without_loading_pydicom():
    """Processes that only start others, such as the supervisor, stay small."""
    code = "import sys, service.settings.config; print('pydicom' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
