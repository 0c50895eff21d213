// Bumped whenever recurra_call changes; whoever fills it in (Python, csrc/python) refuses another number.
#pragma once

enum { RECURRA_ABI = 13 };
