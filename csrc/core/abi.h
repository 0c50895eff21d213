// Bumped whenever recurra_call or what a function takes changes; whoever calls (Python, csrc/python) refuses another number.
#pragma once

enum { RECURRA_ABI = 14 };
