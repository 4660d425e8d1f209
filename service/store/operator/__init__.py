"""What a person does with jobs and models: actions on jobs, repeats, stop of drafting, choice."""
