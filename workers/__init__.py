"""The compute: Celery tasks, reading, the model."""
