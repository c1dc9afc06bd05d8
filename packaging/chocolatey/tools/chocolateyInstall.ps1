# Chocolatey makes a shim of the executable beside this file by itself.
$ErrorActionPreference = 'Stop'
$tools = Split-Path -Parent $MyInvocation.MyCommand.Definition
. (Join-Path $tools 'names.ps1')
foreach ($name in $names.Keys) {
  Install-BinFile -Name $name -Path (Join-Path $tools 'claviger.exe') -Command $names[$name]
}
