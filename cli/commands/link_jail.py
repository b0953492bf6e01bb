"""``exchangectl link jail``: the script by which root makes or removes the jail of an account."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Settings, json_option
from cli.locale import _
from cli.render import say, say_json


@click.command("jail")
@click.argument("name", metavar="NAME")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE.pub",
    type=click.Path(path_type=Path),
    help="A public login key of the neighbour, again for each; without it the account's keys stay.",
)
@click.option(
    "--sshd",
    "sshd",
    type=click.Path(path_type=Path),
    default=Path("/etc/exchanged/sshd"),
    show_default=True,
    metavar="DIR",
    help="The SSH server's folder, which holds accounts.d and keys.",
)
@click.option(
    "--service",
    default="",
    metavar="USER",
    help="Who runs the daemon; without it the owner of the data directory, else exchanged.",
)
@click.option(
    "--quota",
    "quota_gib",
    type=click.IntRange(0, 1_000_000),
    default=20,
    show_default=True,
    metavar="GIB",
    help="What the account may fill, where the volume has user quotas; 0 for no quota.",
)
@click.option(
    "--from-directory",
    is_flag=True,
    help="NAME is an agency or node of the directory in force; its link is made where it is missing.",
)
@click.option("--run", is_flag=True, help="With --from-directory, as root: do it instead of printing it.")
@click.option("--remove", is_flag=True, help="Print the script that removes the account instead.")
@json_option
@click.pass_obj
def link_jail(
    settings: Settings,
    name: str,
    keys: tuple[Path, ...],
    sshd: Path,
    service: str,
    quota_gib: int,
    *,
    from_directory: bool,
    run: bool,
    remove: bool,
    as_json: bool,
) -> None:
    """Print the script that makes, or mends, the jail of the neighbour on the served link NAME.

    Nothing is changed: read the script, then have root run it. It makes account, group, folders, bell,
    quota, keys and the account's part of the SSH server's configuration, and checks them. Running it
    again mends what differs. The script of --remove leaves the mailbox as it is.

    With --from-directory the keys are those that the directory lists, now and later. With --run as
    well, root makes account and jail and puts the link into the configuration; then reload the node.

    \b
    Example:
      exchangectl link jail 620199-01-00 --key login.pub > jail.sh
      sudo sh jail.sh
      exchangectl link jail 620199-01-00 --remove | sudo sh
    """
    from cli.jail.plan import fragment, plan_jail
    from cli.jail.script import making_script, removing_script

    if run and not from_directory:
        raise click.UsageError(_("--run goes with --from-directory"))
    if from_directory:
        if remove or keys:
            raise click.UsageError(_("--from-directory excludes --remove and --key"))
        _enrolled(settings, name, sshd, service, quota_gib, run=run, as_json=as_json)
        return
    if remove and keys:
        raise click.UsageError(_("--remove and --key exclude each other"))
    plan = plan_jail(
        settings.load(),
        name,
        config_path=settings.config_path,
        keys=keys,
        sshd=sshd,
        service=service,
        quota_gib=quota_gib,
    )
    script = removing_script(plan) if remove else making_script(plan)
    if not as_json:
        say(script.rstrip("\n"))
        return
    said: dict[str, object] = {
        "link": plan.link,
        "account": plan.account,
        "service": plan.service,
        "jail": plan.jail,
        "fragment_file": plan.fragment_path,
        "keys_file": plan.keys_path,
        "removes": remove,
        "script": script,
    }
    say_json(said if remove else said | {"fragment": fragment(plan)})


def _enrolled(
    settings: Settings, name: str, sshd: Path, service: str, quota_gib: int, *, run: bool, as_json: bool
) -> None:
    from cli.directory_trusted import find_directory
    from cli.jail.enrolled import make_enrolled, plan_enrolled
    from exchanged.trust import NoDirectoryError

    config = settings.load()
    directory, _state = find_directory(config)
    if directory is None:
        raise NoDirectoryError("no directory is installed", where=str(config.node.data_dir))
    jail = plan_enrolled(
        config, settings.config_path, directory, name, sshd=sshd, service=service, quota_gib=quota_gib
    )
    heard = make_enrolled(jail) if run else ""
    if as_json:
        said = {"link": jail.plan.link, "account": jail.plan.account, "section": jail.section}
        say_json(said | ({"said": heard} if run else {"script": jail.script}))
        return
    say((heard if run else jail.script).rstrip("\n"))
