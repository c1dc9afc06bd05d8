$ErrorActionPreference = 'Stop'
$tools = Split-Path -Parent $MyInvocation.MyCommand.Definition
. (Join-Path $tools 'names.ps1')
foreach ($name in $names.Keys) {
  Uninstall-BinFile -Name $name -Path (Join-Path $tools 'claviger.exe')
}
