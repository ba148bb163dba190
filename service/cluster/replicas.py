"""How many processes there are to be, where Kubernetes decides it: the replicas of the StatefulSet that a pod is of.

A pod's own variables stay what they were when it started. So the API server is asked, with the pod's service account; where
there is none, and while it does not answer, the number stays what it was.
"""

import json
import logging
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path

__all__ = ["ACCOUNT", "Replicas"]

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its namespace, its token and the certificate of the API server."""
_ASK_S, _ANSWER_S = 5.0, 5.0
_log = logging.getLogger(__name__)


class Replicas:
    """The replicas of a StatefulSet, asked for every few seconds by a thread of its own.

    Parameters
    ----------
    name
        Of the StatefulSet.
    size
        What it starts with.
    variables
        KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT say where the API server is.
    account
        The folder of the service account.
    every_s
        Time between two questions.

    Attributes
    ----------
    count
        As it was last heard.
    """

    def __init__(
        self,
        name: str,
        size: int,
        variables: Mapping[str, str],
        *,
        account: Path = ACCOUNT,
        every_s: float = _ASK_S,
    ) -> None:
        self.count, self._account, self._every_s = size, account, every_s
        self._stop = threading.Event()
        host, port = (variables.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
        if not (host and port and (account / "token").exists()):
            return
        namespace = (account / "namespace").read_text().strip()
        self._url = f"https://{host}:{port}/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"
        threading.Thread(target=self._follow, name="replicas", daemon=True).start()

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _follow(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.count = self._ask()
            except (OSError, ValueError, KeyError) as error:  # a URLError is an OSError
                _log.warning("the number of replicas is not known: %r", error)

    def _ask(self) -> int:
        token = (self._account / "token").read_text().strip()  # Kubernetes renews it
        request = urllib.request.Request(self._url, headers={"Authorization": f"Bearer {token}"})
        trusted = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        with urllib.request.urlopen(request, timeout=_ANSWER_S, context=trusted) as answer:
            found = int(json.load(answer)["spec"]["replicas"])
        return max(found, 1)
