"""From a study to a draft: claim, image, model, content, objects. Knows no Celery."""
