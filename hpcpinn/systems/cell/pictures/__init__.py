"""Pictures of cells, made from result files alone."""

import hpcpinn.report  # noqa: F401 - it loads matplotlib whatever the backend
