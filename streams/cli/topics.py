"""`sluicegate topics`: create and list."""

import typer

from streams.cli import common

app = typer.Typer(no_args_is_help=True, help="Create and list the topics.")


@app.command()
def create(broker: common.BrokerOption = None) -> None:
    """Create the topics that the broker lacks.

    Example: `sluicegate topics create --broker 127.0.0.1:9092`
    """
    from streams.provision import create_topics

    settings = common.settings(broker=broker)
    for name, created in create_topics(settings).items():
        common.out.print(f"{name}  {'created' if created else 'was there'}")


@app.command("list")
def list_(json: common.JsonOption = False) -> None:
    """Show the table of topics: what each carries, its key and retention.

    Example: `sluicegate topics list`
    """
    from rich.table import Table

    from streams.topics import DAY_MS, TOPICS, physical

    settings = common.settings()
    rows = [
        {
            "topic": physical(topic.name, settings.topic_prefix),
            "carries": topic.purpose,
            "key": topic.key,
            "retention_days": topic.retention_ms // DAY_MS,
            "cleanup": topic.cleanup,
        }
        for topic in TOPICS
    ]
    if json:
        return common.print_json(rows)
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    return common.out.print(table)
