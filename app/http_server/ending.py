"""The end of a server, which resets nobody who got through to it: uvicorn closes its socket with those in it who have
connected and were not accepted yet, and hangs up on whom it has accepted and not heard. Rests on private names of
uvicorn."""

import asyncio
import socket
from contextlib import suppress

import uvicorn
from uvicorn.supervisors import Multiprocess, multiprocess

_PATIENCE_SECONDS = 1.0
"""In which who has connected must begin to ask."""
_LOOK_SECONDS = 0.05


class EndingServer(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        accepted = [each for listening in sockets or [] for each in _accepted(listening)]
        # Nothing may come between the last one accepted and this: whoever connected in between would be reset.
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        loop = asyncio.get_running_loop()
        for connection in accepted:
            with suppress(OSError):
                await loop.connect_accepted_socket(self._protocol, connection)
        await self._let_them_ask()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        make = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

    async def _let_them_ask(self) -> None:
        """What has come over a connection is read within a turn of the loop; who has just connected is waited for."""
        until = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)
        while not self.force_exit and asyncio.get_running_loop().time() < until:
            if all(getattr(each, "cycle", None) for each in self.server_state.connections):
                return
            await asyncio.sleep(_LOOK_SECONDS)


class _Process(multiprocess.Process):
    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = EndingServer(self.config)
        return self._server


# The supervisor makes its processes by this name.
multiprocess.Process = _Process  # type: ignore[misc]


class EndingSupervisor(Multiprocess):
    def terminate_all(self) -> None:
        super().terminate_all()
        # Else the kernel would take connections for as long as the processes need to end, and nobody answers them.
        for listening in self.sockets:
            listening.close()


def _accepted(listening: socket.socket) -> list[socket.socket]:
    """Who has connected and waits to be accepted."""
    found = []
    with suppress(BlockingIOError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            found.append(connection)
    return found
