"""What runs took: time on devices, energy, money. Read for many runs at once, without their recipes and metrics."""

import json
from collections.abc import Sequence

from store.connection import Database
from store.records import Spent


class SpendingStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, run_ids: Sequence[str]) -> list[Spent]:
        """What each of these runs took so far, oldest first; those that never began are left out."""
        rows = self._database.all(
            "SELECT r.id, r.name, r.model, r.method, r.dataset, r.started, "
            "(SELECT json_group_array(t.tag) FROM tags t WHERE t.run = r.key), "
            "ifnull(r.busy_s, max(0, ifnull(r.ended, r.heartbeat) - r.started)), "
            "ifnull((SELECT s.value FROM settings s WHERE s.run = r.key AND s.name = "
            "(SELECT key FROM setting_names WHERE name = 'devices')), 1), r.energy_j, r.cost "
            "FROM runs r WHERE r.id IN (SELECT value FROM json_each(?)) AND r.started IS NOT NULL "
            "ORDER BY r.started, r.key",
            (json.dumps([*run_ids]),),
        )
        found = []
        for run_id, name, model, method, dataset, started, tags, busy_s, devices, energy_j, cost in rows:
            about = (run_id, name, model, method, dataset, started, json.loads(tags))
            found.append(Spent(*about, busy_s, devices, energy_j, cost))
        return found
