"""callctl: a call queue for FreeSWITCH.

The rooms, in the order a call passes through them: `esl` speaks Event Socket, `call` leads each call
from its arrival to its end, `acd` decides who gets whom, `store` keeps the history. Beside them stand
`config`, `api`, `cli`, and `sim`, a stand-in for FreeSWITCH. `records` holds the rules that all of them
ask. `server` puts them together.
"""

__version__ = "0.1.0"
